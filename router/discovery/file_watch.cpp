#include "router/discovery/file_watch.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <new>
#include <string_view>
#include <utility>

#include "router/base/folder.h"
#include "router/base/log.h"

namespace router::discovery {
namespace {

using Signature = std::vector<std::uint64_t>;

Signature names_in(const std::string& folder) {
  std::vector<std::string> names;
  list_folder(folder.c_str(), [&names](std::string_view name) { names.emplace_back(name); });
  std::sort(names.begin(), names.end());
  Signature signature{names.size()};
  for (const std::string& name : names) signature.push_back(std::hash<std::string>()(name));
  return signature;
}

/// Includes the time of the inode's last change: an editor may keep size and modification time, and a file's mode may become
/// readable.
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

void FileWatch::before_reading() { reading_ = look_at_all(); }

void FileWatch::watch(std::vector<std::string> paths) {
  Signatures next;
  for (std::string& path : paths) {
    Signature signature;
    if (reading_ && reading_->contains(path)) {
      signature = reading_->at(path);
    } else {
      signature = signature_of(path);
    }
    next.insert_or_assign(std::move(path), std::move(signature));
  }
  last_ = next;
  known_ = std::move(next);
  reading_.reset();
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
  reading_ = last_;
  try {
    changed_();
  } catch (const std::bad_alloc&) {
    reading_.reset();  // the next check reports it again
    return log::error("memory is short: a changed file will be read later");
  }
  if (reading_) known_ = *std::exchange(reading_, std::nullopt);
}

}  // namespace router::discovery
