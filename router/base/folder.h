#pragma once

#include <dirent.h>

#include <cerrno>
#include <memory>
#include <new>
#include <string_view>

namespace router {

/// Calls `take` with the name of each entry of a folder except `.` and `..`. Returns false if the folder cannot be read.
/// Exceptions of `take` and std::bad_alloc reach the caller. (std::filesystem::directory_iterator would end the process when
/// memory is short, because some of its functions are noexcept.)
template <class Take>
bool list_folder(const char* path, Take take) {
  struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
  };
  const std::unique_ptr<DIR, Close> folder(::opendir(path));
  if (folder == nullptr && errno == ENOMEM) throw std::bad_alloc();
  if (folder == nullptr) return false;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) return errno == 0;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") take(name);
  }
}

}  // namespace router
