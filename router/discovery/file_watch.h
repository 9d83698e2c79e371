#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "router/runtime/shard.h"

namespace router::discovery {

/// Notices that files have changed, within half a second: four times a second their identities are compared (device, inode,
/// size, times of the last change; symbolic links followed, so the link swap with which Kubernetes updates a mounted volume
/// shows; of a folder, the names in it), and a change is told once it has stood still from one look to the next. Compared and
/// not subscribed to, because inotify sees neither through links nor over network file systems. Control thread.
class FileWatch {
 public:
  /// `changed` is called from the loop; it may call `watch`, and must not destroy this.
  FileWatch(runtime::Shard& control, std::function<void()> changed);

  /// What is there now is about to be read: a change from here on is told, even if it comes before the next `watch`. Done by
  /// itself before `changed` is called; whoever reads for another reason says it. A reading that ends without `watch`, by an
  /// exception, has read nothing: what has changed is told again.
  void before_reading();
  /// Replaces the list. Of a file that was not watched before, and after a reading that was not announced, what is there now
  /// counts as known.
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
  using Signature = std::vector<std::uint64_t>;  // of one file or folder; empty: it is not there
  using Signatures = std::map<std::string, Signature>;
  Signatures look_at_all() const;
  void look();

  runtime::Shard& control_;
  const std::function<void()> changed_;
  Signatures known_;                   // acted upon
  Signatures last_;                    // at the last look: a change must have settled before it is acted upon
  std::optional<Signatures> reading_;  // what the reader is about to find; known once it has read
  Tick tick_;
};

}  // namespace router::discovery
