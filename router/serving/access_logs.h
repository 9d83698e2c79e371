#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/runtime/line_writer.h"

namespace router::serving {

/// The access log, and those before it to which exchanges of older views still write. A writer ends with the last view that
/// names it; as views are freed on the control thread, so is it, which waits there for 2 s at most (if nobody reads). Control
/// thread.
class AccessLogs {
 public:
  using Writer = std::shared_ptr<runtime::LineWriter>;

  /// The present writer if it writes to `path`; else a new one, not in use yet. Null if `path` is empty.
  absl::StatusOr<Writer> open(const std::string& path, std::size_t shards);
  /// What `open` returned last.
  void use(std::string path, Writer writer) noexcept;
  const Writer& current() const { return current_; }
  /// All that are still written to.
  void reopen() const;
  /// Lines lost since the process began.
  std::uint64_t dropped() const;

 private:
  std::string path_;
  Writer current_;
  std::vector<std::weak_ptr<runtime::LineWriter>> written_to_;
  std::shared_ptr<std::uint64_t> dropped_by_ended_ = std::make_shared<std::uint64_t>(0);  // the last writer may outlive this
};

}  // namespace router::serving
