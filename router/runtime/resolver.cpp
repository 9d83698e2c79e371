#include "router/runtime/resolver.h"

#include <absl/strings/str_cat.h>
#include <netdb.h>
#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <exception>
#include <mutex>
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
  // Only the control thread handles signals: the new thread inherits a mask that blocks all.
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

}  // namespace

/// A look-up. It goes to the resolver's thread and comes back to the control thread as a message, which needs no memory.
class Resolver::Question final : public Message {
 public:
  Question(std::weak_ptr<Callbacks> callbacks, std::uint64_t number, std::string host, std::uint16_t port)
      : callbacks_(std::move(callbacks)), number_(number), host_(std::move(host)), port_(port) {}

  void look_up(const LookUp& how) noexcept {
    try {
      answer(how(host_, port_));
    } catch (const std::exception&) {  // memory is short: the initial answer, an error, stays
    }
  }
  void answer(Addresses addresses) { addresses_ = std::move(addresses); }

 private:
  /// Control thread. The callback may destroy the resolver.
  void run() override {
    const std::unique_ptr<Question> ends_here(this);
    const auto alive = callbacks_.lock();
    if (alive == nullptr) return;
    if (const auto asked = alive->extract(number_)) asked.mapped()(std::move(addresses_));
  }
  void dropped() noexcept override { delete this; }

  const std::weak_ptr<Callbacks> callbacks_;  // weak: the last owner is on the control thread
  const std::uint64_t number_;
  const std::string host_;
  const std::uint16_t port_;
  Addresses addresses_ = absl::ResourceExhaustedError("memory is short");
};

/// Shared by the Resolver and its thread, which may live longer: `control` is nullptr when the Resolver was destroyed.
struct Resolver::Shared {
  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      asked.wait(lock, [this] { return control == nullptr || !waiting.empty(); });
      if (control == nullptr) return;
      std::unique_ptr<Question> question = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      question->look_up(look_up);
      lock.lock();
      if (control == nullptr) return;
      control->send(std::move(question));
    }
  }

  LookUp look_up;
  std::mutex mutex;
  std::condition_variable asked;
  std::deque<std::unique_ptr<Question>> waiting;
  Shard* control = nullptr;
};

Resolver::Resolver(Shard& control) : Resolver(control, ask_the_system) {}

Resolver::Resolver(Shard& control, LookUp look_up)
    : control_(control), callbacks_(std::make_shared<Callbacks>()), shared_(std::make_shared<Shared>()) {
  shared_->look_up = std::move(look_up);
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
  const std::uint64_t number = ++last_question_;
  auto question = std::make_unique<Question>(callbacks_, number, host, port);
  const std::optional<Address> address = Address::parse(host, port);
  if (address) question->answer(std::vector{*address});
  const auto asked = callbacks_->emplace(number, std::move(done)).first;
  try {
    if (!address && wait(question)) return;
  } catch (const std::exception&) {
    callbacks_->erase(asked);
    throw;
  }
  control_.send(std::move(question));
}

/// Passes the question to the resolver's thread. False if too many wait; then the answer is an error.
bool Resolver::wait(std::unique_ptr<Question>& question) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->waiting.size() >= kWaitingMax) {
    question->answer(absl::ResourceExhaustedError("the name was not resolved: too many names wait"));
    return false;
  }
  shared_->waiting.push_back(std::move(question));
  shared_->asked.notify_one();
  return true;
}

}  // namespace router::runtime
