#include "router/runtime/shard_set.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <string>

namespace router::runtime {
namespace {

/// The number of cores that the cgroup's quota allows, 0 if there is none: version 2 in `cpu.max` ("quota period" or "max
/// period"), version 1 in two files.
double quota_of_cgroup() {
  std::ifstream unified("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (unified >> quota >> period && quota != "max" && period > 0) return std::stod(quota) / period;
  std::ifstream old_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream old_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double microseconds = 0;
  if (old_quota >> microseconds && old_period >> period && microseconds > 0 && period > 0) return microseconds / period;
  return 0;
}

void block_signals() {
  // Only the control thread handles signals.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

std::size_t default_shard_count() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::size_t cores = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? static_cast<std::size_t>(CPU_COUNT(&allowed)) : 1;
  if (const double quota = quota_of_cgroup(); quota > 0) cores = std::min(cores, static_cast<std::size_t>(std::ceil(quota)));
  return std::max<std::size_t>(cores, 1);
}

ShardSet::ShardSet(std::size_t count, const Clock& clock, const char* name) : name_(name) {
  for (std::size_t index = 0; index < count; ++index) shards_.push_back(std::make_unique<Shard>(index, clock));
}

ShardSet::~ShardSet() {
  join();
  close();
}

void ShardSet::close() noexcept {
  for (const std::unique_ptr<Shard>& shard : shards_) shard->close();
}

void ShardSet::start() {
  for (const std::unique_ptr<Shard>& shard : shards_) {
    threads_.emplace_back([&shard = *shard, prefix = name_] {
      block_signals();
      const std::string name = std::string(prefix) + "-" + std::to_string(shard.index());
      pthread_setname_np(pthread_self(), name.c_str());
      shard.run();
    });
  }
}

void ShardSet::join() {
  if (threads_.empty()) return;
  for (const std::unique_ptr<Shard>& shard : shards_) shard->stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

ShardSet::ForAll ShardSet::prepare_for_all(const std::function<void(Shard&)>& work) {
  ForAll prepared;
  prepared.messages_.reserve(shards_.size());
  for (const std::unique_ptr<Shard>& shard : shards_) {
    prepared.messages_.emplace_back(shard.get(), message_of([work, &shard = *shard] { work(shard); }));
  }
  return prepared;
}

void ShardSet::ForAll::send() noexcept {
  for (auto& [shard, message] : messages_) shard->send(std::move(message));
  messages_.clear();
}

}  // namespace router::runtime
