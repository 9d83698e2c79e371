#include "router/discovery/file_watch.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <utility>

namespace router::discovery {
namespace {

void append_folder(const std::string& path, std::vector<std::uint64_t>& into) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) into.push_back(std::hash<std::string>()(name));
}

}  // namespace

FileWatch::FileWatch(runtime::Shard& control, std::function<void()> changed)
    : control_(control), changed_(std::move(changed)), tick_(*this) {}

void FileWatch::watch(std::vector<std::string> paths) {
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  paths_ = std::move(paths);
  known_ = last_ = signature();
  control_.schedule(tick_, control_.now() + kPeriod);
}

FileWatch::Signature FileWatch::signature() const {
  Signature all;
  for (const std::string& path : paths_) {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) {
      all.push_back(0);
      continue;
    }
    if (S_ISDIR(found.st_mode)) {
      append_folder(path, all);
      continue;
    }
    for (const auto part : {static_cast<std::uint64_t>(found.st_dev), static_cast<std::uint64_t>(found.st_ino),
                            static_cast<std::uint64_t>(found.st_size), static_cast<std::uint64_t>(found.st_mtim.tv_sec),
                            static_cast<std::uint64_t>(found.st_mtim.tv_nsec)}) {
      all.push_back(part);
    }
  }
  return all;
}

void FileWatch::look() {
  control_.schedule(tick_, control_.now() + kPeriod);
  Signature now = signature();
  const bool settled = now == last_;
  last_ = std::move(now);
  if (!settled || last_ == known_) return;
  known_ = last_;
  changed_();
}

}  // namespace router::discovery
