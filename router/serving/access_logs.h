#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/runtime/line_writer.h"

namespace router::serving {

/// The current access log, and the older ones to which exchanges of older views still write. A writer is destroyed with the
/// last view that refers to it. Views are destroyed on the control thread, so it waits there for the writer's last lines, at
/// most 2 s (if nobody reads the pipe). Control thread.
class AccessLogs {
 public:
  using Writer = std::shared_ptr<runtime::LineWriter>;

  /// Returns the current writer if it writes to `path`; otherwise a new one that is not in use yet. Null if `path` is empty.
  absl::StatusOr<Writer> open(const std::string& path, std::size_t shards);
  /// Makes `writer`, the result of the last `open`, the current one.
  void use(std::string path, Writer writer) noexcept;
  const Writer& current() const { return current_; }
  /// Reopens the files of all logs that are still in use.
  void reopen() const;
  /// Number of lines dropped since the process started.
  std::uint64_t dropped() const;

 private:
  std::string path_;
  Writer current_;
  std::vector<std::weak_ptr<runtime::LineWriter>> written_to_;
  std::shared_ptr<std::uint64_t> dropped_by_ended_ = std::make_shared<std::uint64_t>(0);  // shared: a writer may outlive this
};

}  // namespace router::serving
