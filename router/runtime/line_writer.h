#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "router/runtime/descriptor.h"
#include "router/runtime/line_ring.h"
#include "router/runtime/line_sink.h"

namespace router::runtime {

struct LineWriterOptions {
  std::size_t ring_bytes = 1 << 20;                // for each shard; a power of two
  std::chrono::milliseconds wake_every{20};        // longest wait of a line while no ring is half full
  std::chrono::milliseconds last_flush_max{2000};  // longest wait of the destructor for a reader that does not read
};

/// Writes lines (the access log) on a thread of its own, so that a shard never waits for a disk or a pipe. A line that finds no
/// room is dropped and counted. While the sink fails (full disk, pipe without reader) lines are kept as long as there is room,
/// and the thread tries again. The process log reports once that the sink fails, and once that it works again.
class LineWriter {
 public:
  /// `path`: `stdout`, or a file that is appended to. The error names the path.
  static absl::StatusOr<std::unique_ptr<LineWriter>> open(const std::string& path, std::size_t shards,
                                                          LineWriterOptions options = {});
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;
  /// Writes the remaining lines, for about `last_flush_max` at most; gives up if the sink fails. No shard may write any more.
  ~LineWriter();

  /// On the thread of `shard`. `line` is complete, with its newline. Wait-free, except for one write to an eventfd when the
  /// ring becomes half full. False if the line was dropped.
  bool write(std::size_t shard, std::string_view line);
  /// On the thread of `shard`: an empty text in which to compose a line. Up to kDraftBytes it allocates nothing.
  std::string& draft(std::size_t shard) {
    std::string& text = drafts_[shard].text;
    text.clear();
    return text;
  }
  static constexpr std::size_t kDraftBytes = std::size_t{16} * 1024;
  /// Any thread: counts a line that was lost before it could be written.
  void note_lost() { lost_.fetch_add(1, std::memory_order_relaxed); }
  /// Any thread: the path is opened again soon, for log rotation. If that fails, the old file stays.
  void reopen();
  /// Any thread: the number of lines that were lost since the start.
  std::uint64_t dropped() const;

 private:
  enum class State { kIdle, kBlocked, kFailed };

  LineWriter(std::string path, LineSink sink, Descriptor wake, std::size_t shards, LineWriterOptions options);
  void run();
  void sleep(State state) const;
  State write_rings();
  State write_ring(LineRing& ring);
  State after_failure(int error);
  void open_again_or_keep();
  void open_again();
  void drop_rest_of_torn_line();
  void write_the_rest();
  void wake() const;

  const std::string path_;
  const LineWriterOptions options_;
  const Descriptor wake_;  // eventfd
  std::vector<std::unique_ptr<LineRing>> rings_;
  struct alignas(64) Draft {  // the next one belongs to another shard
    std::string text;
  };
  std::vector<Draft> drafts_;
  std::atomic<bool> wake_pending_{false};
  std::atomic<bool> reopen_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> lost_{0};

  // Used on the writer's thread only:
  LineSink sink_;
  std::size_t current_ = 0;  // ring that is being written: a torn line is completed before the next ring is written
  bool torn_ = false;        // the last byte written is not the end of a line
  bool failing_ = false;     // as last reported in the process log
  std::thread thread_;
};

}  // namespace router::runtime
