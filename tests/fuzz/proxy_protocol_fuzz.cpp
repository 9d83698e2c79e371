#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "router/proxy/proxy_protocol.h"
#include "tests/fuzz/support.h"
#include "tests/support/test_shard.h"

/// The header of the PROXY protocol, as it arrives byte by byte. A decision (a header of so many bytes, or none) must hold
/// whatever follows. When the header is read from a socket, exactly its bytes are consumed.
namespace {

using router::Result;
using router::fuzz::require;
using router::proxy::parse_proxy_header;
using router::proxy::ProxyHeader;

constexpr std::size_t kLookedAt = 107;

bool same(const Result<ProxyHeader>& a, const Result<ProxyHeader>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->bytes == b->bytes && a->client == b->client && a->local == b->local;
}

/// Reads the same header from a socket, which ends after the input.
void read_off_a_socket(std::string_view input, const Result<ProxyHeader>& whole) {
  static auto* const shard = new router::test::TestShard;
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
  if (!input.empty()) {
    require(::send(ends[1], input.data(), input.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(input.size()));
  }
  ::shutdown(ends[1], SHUT_WR);
  router::runtime::Socket socket(*shard, ends[0]);
  router::runtime::Wakeup wakeup(*shard);
  socket.set_waker(&wakeup);
  auto reading = shard->start(router::proxy::read_proxy_header(socket, wakeup, router::kNever, router::kNever));
  require(reading.done());
  const Result<ProxyHeader> read = reading.get();
  router::proxy::ProxyValues values;
  const bool arrived = whole && whole->bytes > 0 && whole->bytes <= input.size();
  if (arrived) values.take(input.substr(whole->bytes - whole->values, whole->values));
  require(read.has_value() == (arrived && values.complete()));
  if (read) {
    require(same(read, whole));
    char next = 0;
    const bool more = ::recv(ends[0], &next, 1, 0) == 1;
    require(more == (whole->bytes < input.size()) && (!more || next == input[whole->bytes]));
  }
  ::close(ends[1]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = router::fuzz::text_of(data, size);
  const Result<ProxyHeader> whole = parse_proxy_header(input);
  read_off_a_socket(input, whole);
  for (std::size_t arrived = 1; arrived <= input.size(); ++arrived) {
    const Result<ProxyHeader> header = parse_proxy_header(input.substr(0, arrived));
    if (!header) {
      require(header.error().reason == router::Reason::kBadRequest);
    } else if (header->bytes == 0) {
      require(arrived < kLookedAt);  // a longer input must be decided: the longest header is not longer
      continue;
    } else {
      require(header->bytes >= arrived);  // version 2 announces its length, and the rest is not parsed
      if (header->client) require(!header->client->text().empty());
    }
    require(same(header, whole));
    return 0;
  }
  require(whole && whole->bytes == 0);
  return 0;
}
