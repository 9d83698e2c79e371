#include "router/serving/access_logs.h"

#include <algorithm>
#include <utility>

namespace router::serving {

absl::StatusOr<AccessLogs::Writer> AccessLogs::open(const std::string& path, std::size_t shards) {
  if (path.empty()) return Writer();
  if (current_ && path == path_) return current_;
  auto writer = runtime::LineWriter::open(path, shards);
  if (!writer.ok()) return writer.status();
  written_to_.reserve(written_to_.size() + 1);  // so that `use` needs no memory
  return Writer(writer->release(), [dropped = dropped_by_ended_](runtime::LineWriter* ended) {
    *dropped += ended->dropped();
    delete ended;
  });
}

void AccessLogs::use(std::string path, Writer writer) noexcept {
  path_.swap(path);
  if (writer == current_) return;
  const auto has_ended = [](const std::weak_ptr<runtime::LineWriter>& each) { return each.expired(); };
  written_to_.erase(std::remove_if(written_to_.begin(), written_to_.end(), has_ended), written_to_.end());
  if (writer) written_to_.push_back(writer);
  current_ = std::move(writer);
}

void AccessLogs::reopen() const {
  for (const std::weak_ptr<runtime::LineWriter>& each : written_to_) {
    if (const Writer writer = each.lock()) writer->reopen();
  }
}

std::uint64_t AccessLogs::dropped() const {
  std::uint64_t total = *dropped_by_ended_;
  for (const std::weak_ptr<runtime::LineWriter>& each : written_to_) {
    if (const Writer writer = each.lock()) total += writer->dropped();
  }
  return total;
}

}  // namespace router::serving
