#include "router/runtime/resolver.h"

#include <absl/strings/str_cat.h>
#include <netdb.h>
#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace router::runtime {
namespace {

Resolver::Addresses ask_the_system(const std::string& host, std::uint16_t port) {
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
  if (addresses.empty()) return absl::UnavailableError(absl::StrCat("the name ", host, " has no address"));
  return addresses;
}

void start_detached(std::function<void()> work) {
  // Signals are the control thread's: the new thread inherits a mask that lets none through.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([work = std::move(work)] {
    pthread_setname_np(pthread_self(), "resolver");
    work();
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// Control thread. The callback may destroy the resolver.
void call_back(const std::weak_ptr<std::map<std::uint64_t, Resolver::Done>>& callbacks, std::uint64_t question,
               Resolver::Addresses addresses) {
  const auto alive = callbacks.lock();
  if (alive == nullptr) return;
  const auto asked = alive->extract(question);
  asked.mapped()(std::move(addresses));
}

}  // namespace

/// Outlives the Resolver until the thread has seen that it is gone: `control` is nullptr from then on.
struct Resolver::Shared {
  struct Question {
    std::uint64_t number;
    std::string host;
    std::uint16_t port;
  };

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      asked.wait(lock, [this] { return control == nullptr || !waiting.empty(); });
      if (control == nullptr) return;
      const Question question = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      Addresses addresses = look_up_or_fail(question);
      lock.lock();
      if (control == nullptr) return;
      control->post([to = callbacks, number = question.number, addresses = std::move(addresses)]() mutable {
        call_back(to, number, std::move(addresses));
      });
    }
  }

  Addresses look_up_or_fail(const Question& question) const {
    try {
      return look_up(question.host, question.port);
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError("memory is short");
    }
  }

  LookUp look_up;
  std::weak_ptr<Callbacks> callbacks;  // weak: the last owner is on the control thread
  std::mutex mutex;
  std::condition_variable asked;
  std::deque<Question> waiting;
  Shard* control = nullptr;
};

Resolver::Resolver(Shard& control) : Resolver(control, ask_the_system) {}

Resolver::Resolver(Shard& control, LookUp look_up)
    : control_(control), callbacks_(std::make_shared<Callbacks>()), shared_(std::make_shared<Shared>()) {
  shared_->look_up = std::move(look_up);
  shared_->callbacks = callbacks_;
  shared_->control = &control;
  start_detached([shared = shared_] { shared->work(); });
}

Resolver::~Resolver() {
  const std::lock_guard lock(shared_->mutex);
  shared_->control = nullptr;
  shared_->waiting.clear();
  shared_->asked.notify_one();
}

void Resolver::resolve(const std::string& host, std::uint16_t port, Done done) {
  const std::uint64_t question = ++last_question_;
  callbacks_->emplace(question, std::move(done));
  if (const std::optional<Address> address = Address::parse(host, port)) return answer(question, std::vector{*address});
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->waiting.size() < kWaitingMax) {
      shared_->waiting.push_back({question, host, port});
      shared_->asked.notify_one();
      return;
    }
  }
  answer(question, absl::ResourceExhaustedError(absl::StrCat("the name ", host, " was not resolved: too many names wait")));
}

void Resolver::answer(std::uint64_t question, Addresses addresses) {
  control_.post([to = std::weak_ptr(callbacks_), question, addresses = std::move(addresses)]() mutable {
    call_back(to, question, std::move(addresses));
  });
}

}  // namespace router::runtime
