#pragma once

#include <cstddef>
#include <string>

namespace router::files {

/// The content of a file, or why there is none (`mistake` is then not empty; it names no content).
struct FileText {
  std::string text;
  std::string mistake;
  bool out_of_reach = false;  // this process has too few descriptors or too little memory: nothing is said of the file
};

/// The only reader of what operators and Kubernetes write: a regular file of at most `bytes_max`; symbolic links are followed.
/// A pipe, a socket or a device is refused and never waited for, so the control thread may call it. A file system that does not
/// answer (NFS) is waited for, as everywhere. The text is the only copy that is left in memory, unless the file has grown
/// meanwhile: what holds secrets can be overwritten.
FileText read_file(const std::string& path, std::size_t bytes_max);

}  // namespace router::files
