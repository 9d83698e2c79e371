#include "router/runtime/line_writer.h"

#include <absl/strings/str_cat.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <utility>

#include "router/base/log.h"

namespace router::runtime {
namespace {

/// Only the control thread handles signals. SIGPIPE is blocked too: a pipe without a reader is an error like any other here.
void block_all_signals() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

char last_of(const LineRing::Content& content, std::size_t written) {
  const iovec& first = content.pieces[0];
  const iovec& piece = written <= first.iov_len ? first : content.pieces[1];
  const std::size_t in_piece = written <= first.iov_len ? written : written - first.iov_len;
  return static_cast<const char*>(piece.iov_base)[in_piece - 1];
}

std::size_t count_lines(const LineRing::Content& content) {
  std::size_t lines = 0;
  for (const iovec& piece : content.pieces) {
    const std::string_view bytes(static_cast<const char*>(piece.iov_base), piece.iov_len);
    lines += static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
  }
  return lines;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LineWriter>> LineWriter::open(const std::string& path, std::size_t shards,
                                                             LineWriterOptions options) {
  absl::StatusOr<LineSink> sink = LineSink::open(path);
  if (!sink.ok()) return sink.status();
  Descriptor wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.is_open()) return absl::ErrnoToStatus(errno, "eventfd");
  return std::unique_ptr<LineWriter>(new LineWriter(path, std::move(*sink), std::move(wake), shards, options));
}

LineWriter::LineWriter(std::string path, LineSink sink, Descriptor wake, std::size_t shards, LineWriterOptions options)
    : path_(std::move(path)), options_(options), wake_(std::move(wake)), drafts_(shards), sink_(std::move(sink)) {
  for (Draft& draft : drafts_) draft.text.reserve(kDraftBytes);
  for (std::size_t shard = 0; shard < shards; ++shard) rings_.push_back(std::make_unique<LineRing>(options.ring_bytes));
  thread_ = std::thread([this] { run(); });
}

LineWriter::~LineWriter() {
  stopping_.store(true, std::memory_order_release);
  wake();
  thread_.join();
}

bool LineWriter::write(std::size_t shard, std::string_view line) {
  LineRing& ring = *rings_[shard];
  const bool taken = ring.push(line);
  if (taken && ring.half_full() && !wake_pending_.load(std::memory_order_relaxed) && !wake_pending_.exchange(true)) wake();
  return taken;
}

void LineWriter::reopen() {
  reopen_.store(true);
  wake();
}

std::uint64_t LineWriter::dropped() const {
  std::uint64_t total = lost_.load(std::memory_order_relaxed);
  for (const auto& ring : rings_) total += ring->dropped();
  return total;
}

void LineWriter::wake() const {
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0) return;  // the counter is full, so the eventfd is readable already
}

void LineWriter::run() {
  block_all_signals();
  State state = State::kIdle;
  while (!stopping_.load(std::memory_order_acquire)) {
    sleep(state);
    wake_pending_.store(false);
    if (reopen_.exchange(false)) open_again_or_keep();
    state = write_rings();
  }
  write_the_rest();
}

void LineWriter::sleep(State state) const {
  // While the sink is blocked or fails, a ring that fills does not end the sleep: only the sink or the timeout does.
  pollfd ask{wake_.get(), POLLIN, 0};
  if (state == State::kBlocked) ask = {sink_.descriptor(), POLLOUT, 0};
  ::poll(&ask, state == State::kFailed ? 0 : 1, static_cast<int>(options_.wake_every.count()));
  std::uint64_t times;
  if (::read(wake_.get(), &times, sizeof times) < 0) return;  // the timeout or the sink ended the sleep
}

LineWriter::State LineWriter::write_rings() {
  for (std::size_t turn = 0; turn < rings_.size(); ++turn) {
    if (const State state = write_ring(*rings_[current_]); state != State::kIdle) return state;
    current_ = (current_ + 1) % rings_.size();
  }
  return State::kIdle;
}

LineWriter::State LineWriter::write_ring(LineRing& ring) {
  // Writes only the content that is there now, so that a busy shard does not delay the lines of the others.
  for (std::size_t left = ring.content().size; left > 0;) {
    LineRing::Content content = ring.content();
    const LineSink::Written written = sink_.write(content.pieces);
    if (written.error != 0) return written.error == EAGAIN ? State::kBlocked : after_failure(written.error);
    if (written.bytes == 0) return State::kFailed;
    torn_ = last_of(ring.content(), written.bytes) != '\n';
    ring.take(written.bytes);
    left -= std::min(left, written.bytes);
    if (std::exchange(failing_, false)) log::write(log::Level::kInfo, {"writing lines to ", path_, " works again"});
  }
  return State::kIdle;
}

LineWriter::State LineWriter::after_failure(int error) {
  if (!std::exchange(failing_, true))
    log::write(log::Level::kError, {"writing lines to ", path_, " fails: ", std::strerror(error)});
  return State::kFailed;
}

void LineWriter::open_again_or_keep() {
  try {
    open_again();
  } catch (const std::bad_alloc&) {
    log::error("memory is short: the log was not opened again; the old file stays");
  }
}

void LineWriter::open_again() {
  if (sink_.is_stdout()) return;
  absl::StatusOr<LineSink> sink = LineSink::open(path_);
  if (!sink.ok()) {
    log::error(absl::StrCat("log rotation: ", sink.status().message(), "; the old file stays"));
    return;
  }
  sink_ = std::move(*sink);
  if (torn_) drop_rest_of_torn_line();
}

void LineWriter::drop_rest_of_torn_line() {
  LineRing& ring = *rings_[current_];
  while (torn_) {
    const LineRing::Content content = ring.content();
    torn_ = last_of(content, 1) != '\n';
    ring.take(1);
  }
  lost_.fetch_add(1, std::memory_order_relaxed);
}

void LineWriter::write_the_rest() {
  const auto give_up = std::chrono::steady_clock::now() + options_.last_flush_max;
  State state = write_rings();
  while (state == State::kBlocked && std::chrono::steady_clock::now() < give_up) {
    sleep(state);
    state = write_rings();
  }
  if (state == State::kIdle) return;
  std::size_t lines = 0;
  for (const auto& ring : rings_) lines += count_lines(ring->content());
  log::write(log::Level::kError,
             {std::to_string(lines), " lines for ", path_, " could not be written before the log was closed"});
}

}  // namespace router::runtime
