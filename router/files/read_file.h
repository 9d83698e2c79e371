#pragma once

#include <cstddef>
#include <string>

namespace router::files {

/// The content of a file, or why it could not be read: `mistake` is then not empty, and contains nothing of the content.
struct FileText {
  std::string text;
  std::string mistake;
  bool out_of_reach = false;  // descriptors or memory run short: the file itself may be correct
};

/// Reads a regular file of at most `bytes_max`; follows symbolic links. All files that operators and Kubernetes write are read
/// by this function. It refuses a pipe, a socket or a device without blocking, so the control thread may call it. A file system
/// that does not answer (NFS) blocks it. The returned text is the only copy in memory, unless the file grows meanwhile, so the
/// caller can overwrite a secret.
FileText read_file(const std::string& path, std::size_t bytes_max);

}  // namespace router::files
