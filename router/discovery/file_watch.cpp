#include "router/discovery/file_watch.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "router/base/log.h"

namespace router::discovery {
namespace {

using Signature = std::vector<std::uint64_t>;

Signature names_in(const std::string& folder) {
  std::vector<std::string> names;
  // Not std::filesystem's iterator: it ends the process when memory is short.
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  while (const dirent* entry = open != nullptr ? ::readdir(open.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  Signature signature{names.size()};
  for (const std::string& name : names) signature.push_back(std::hash<std::string>()(name));
  return signature;
}

/// The time of the last change of the inode too: an editor may keep size and modification time, a mode may become readable.
Signature signature_of(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return {};
  if (S_ISDIR(found.st_mode)) return names_in(path);
  const auto number = [](auto value) { return static_cast<std::uint64_t>(value); };
  return {number(found.st_dev),         number(found.st_ino),          number(found.st_size),
          number(found.st_mtim.tv_sec), number(found.st_mtim.tv_nsec), number(found.st_ctim.tv_sec),
          number(found.st_ctim.tv_nsec)};
}

}  // namespace

FileWatch::FileWatch(runtime::Shard& control, std::function<void()> changed)
    : control_(control), changed_(std::move(changed)), tick_(*this) {}

void FileWatch::before_reading() {
  known_ = last_ = look_at_all();
  reading_ = true;
}

void FileWatch::watch(std::vector<std::string> paths) {
  Signatures next;
  for (std::string& path : paths) {
    const auto seen = known_.find(path);
    const bool kept = reading_ && seen != known_.end();
    Signature signature = kept ? seen->second : signature_of(path);
    next.insert_or_assign(std::move(path), std::move(signature));
  }
  known_ = last_ = std::move(next);
  reading_ = false;
  control_.schedule(tick_, control_.now() + kPeriod);
}

FileWatch::Signatures FileWatch::look_at_all() const {
  Signatures all;
  for (const auto& [path, signature] : known_) all.emplace(path, signature_of(path));
  return all;
}

void FileWatch::look() {
  control_.schedule(tick_, control_.now() + kPeriod);
  Signatures now = look_at_all();
  const bool settled = now == last_;
  last_ = std::move(now);
  if (!settled || last_ == known_) return;
  const Signatures before = std::exchange(known_, last_);
  reading_ = true;
  try {
    changed_();
  } catch (const std::bad_alloc&) {
    known_ = before;  // noticed again at the next look
    log::error("memory is short: a changed file will be read later");
  }
  reading_ = false;
}

}  // namespace router::discovery
