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

/// Detects changes of files within half a second. Four times a second it compares device, inode, size and times of each file,
/// and the names in each folder. It follows symbolic links, so it detects the link swap with which Kubernetes updates a mounted
/// volume. It reports a change when the files are the same at two checks in a row. It polls because inotify does not follow
/// links and does not work on network file systems. Control thread.
class FileWatch {
 public:
  /// `changed` is called from the loop; it may call `watch`, and must not destroy this.
  FileWatch(runtime::Shard& control, std::function<void()> changed);

  /// Records the present state as the one that the caller is about to read. Any later change is reported, even if it happens
  /// before the next `watch`. FileWatch does this itself before it calls `changed`; a caller that reads for another reason must
  /// call it. If the reading ends with an exception before it calls `watch`, the change is reported again.
  void before_reading();
  /// Replaces the list. The state recorded by `before_reading` counts as known. For a file that was not watched before, and
  /// without a call of `before_reading`, the present state counts as known.
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
  using Signature = std::vector<std::uint64_t>;  // of one file or folder; empty: it does not exist
  using Signatures = std::map<std::string, Signature>;
  Signatures look_at_all() const;
  void look();

  runtime::Shard& control_;
  const std::function<void()> changed_;
  Signatures known_;                   // already reported
  Signatures last_;                    // at the last check: a change is reported only if two checks find the same
  std::optional<Signatures> reading_;  // the state that is being read; becomes known_ when the reading has ended
  Tick tick_;
};

}  // namespace router::discovery
