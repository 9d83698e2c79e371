#include "router/runtime/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace router::runtime {
namespace {

constexpr rlim_t kMost = 1 << 30;  // descriptors, if the process has no limit

rlim_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min(limit.rlim_cur, kMost) : 0;
}

}  // namespace

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int client_descriptors_end() {
  const rlim_t limit = descriptor_limit();
  return static_cast<int>(limit - std::min<rlim_t>(limit / 4, 4096));
}

int replica_descriptors_end() {
  const rlim_t limit = descriptor_limit();
  return static_cast<int>(limit - std::min<rlim_t>(limit / 16, 64));
}

int operator_descriptors_end() {
  const rlim_t limit = descriptor_limit();
  return static_cast<int>(limit - std::min<rlim_t>(limit / 32, 32));
}

bool has_client_descriptors() {
  const int lowest = ::open("/", O_PATH | O_CLOEXEC);
  if (lowest < 0) return false;
  ::close(lowest);
  return lowest < client_descriptors_end();
}

bool is_our_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EADDRNOTAVAIL;
}

}  // namespace router::runtime
