#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "router/runtime/shard.h"

namespace router::discovery {

/// Notices that files have changed, within a second: four times a second their identities are compared (device, inode, size,
/// time of the last change; symbolic links followed, so the link swap with which Kubernetes updates a mounted volume shows; of
/// a folder, its entries). Compared and not subscribed to, because inotify sees neither through links nor over network file
/// systems. Control thread.
class FileWatch {
 public:
  FileWatch(runtime::Shard& control, std::function<void()> changed);

  /// Replaces the list; what is there now counts as known.
  void watch(std::vector<std::string> paths);

  static constexpr std::chrono::milliseconds kPeriod{250};

 private:
  class Tick final : public runtime::Timer {
   public:
    explicit Tick(FileWatch& owner) : owner_(owner) {}

   private:
    void expired() override { owner_.look(); }
    FileWatch& owner_;
  };
  using Signature = std::vector<std::uint64_t>;
  Signature signature() const;
  void look();

  runtime::Shard& control_;
  const std::function<void()> changed_;
  std::vector<std::string> paths_;
  Signature known_;  // that was acted upon
  Signature last_;   // at the last look: a change must have settled before it is acted upon
  Tick tick_;
};

}  // namespace router::discovery
