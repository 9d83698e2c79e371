#include "router/runtime/resolver.h"

#include <absl/strings/str_cat.h>
#include <netdb.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace router::runtime {
namespace {

absl::StatusOr<std::vector<Address>> look_up(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &first); error != 0) {
    return absl::UnavailableError(absl::StrCat("the name ", host, " could not be resolved: ", ::gai_strerror(error)));
  }
  std::vector<Address> addresses;
  for (const addrinfo* each = first; each != nullptr; each = each->ai_next) {
    addresses.push_back(Address::from(each->ai_addr, each->ai_addrlen));
  }
  ::freeaddrinfo(first);
  return addresses;
}

}  // namespace

/// Outlives the Resolver until the thread has seen that it is gone. `control` is nullptr from then on.
struct Resolver::Shared {
  struct Question {
    std::string host;
    std::uint16_t port;
    Done done;
  };
  std::mutex mutex;
  std::condition_variable asked;
  std::deque<Question> waiting;
  Shard* control = nullptr;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);  // control thread only

  static void work(const std::shared_ptr<Shared>& self) {
    std::unique_lock lock(self->mutex);
    for (;;) {
      self->asked.wait(lock, [&self] { return self->control == nullptr || !self->waiting.empty(); });
      if (self->control == nullptr) return;
      Question question = std::move(self->waiting.front());
      self->waiting.pop_front();
      lock.unlock();
      auto addresses = look_up(question.host, question.port);
      lock.lock();
      if (self->control == nullptr) return;
      self->control->post([alive = self->alive, done = std::move(question.done), addresses = std::move(addresses)] {
        if (*alive) done(addresses);
      });
    }
  }
};

Resolver::Resolver(Shard& control) : control_(control), shared_(std::make_shared<Shared>()) {
  shared_->control = &control;
  // Signals are the control thread's: the new thread inherits a mask that lets none through.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([shared = shared_] { Shared::work(shared); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Resolver::~Resolver() {
  *shared_->alive = false;
  const std::lock_guard lock(shared_->mutex);
  shared_->control = nullptr;
  shared_->waiting.clear();
  shared_->asked.notify_one();
}

void Resolver::resolve(const std::string& host, std::uint16_t port, Done done) {
  const auto answer = [this, &done](absl::StatusOr<std::vector<Address>> addresses) {
    control_.post([alive = shared_->alive, done = std::move(done), addresses = std::move(addresses)] {
      if (*alive) done(addresses);
    });
  };
  if (const std::optional<Address> address = Address::parse(host, port)) return answer(std::vector<Address>{*address});
  const std::lock_guard lock(shared_->mutex);
  if (shared_->waiting.size() >= kWaitingMax) return answer(absl::ResourceExhaustedError("too many names wait to be resolved"));
  shared_->waiting.push_back({host, port, std::move(done)});
  shared_->asked.notify_one();
}

}  // namespace router::runtime
