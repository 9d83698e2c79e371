#include "router/serving/fleet_keys.h"

#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>

#include "config/findings.h"
#include "router/files/read_file.h"

namespace router::serving {
namespace {

constexpr std::size_t kBytesMax = 4096;

}  // namespace

absl::StatusOr<tls::PskKeys> read_fleet_keys(const std::string& file) {
  files::FileText content = files::read_file(file, kBytesMax);
  if (!content.mistake.empty()) return absl::InvalidArgumentError(absl::StrCat(config::shown_path(file), " ", content.mistake));
  absl::StatusOr<tls::PskKeys> keys = tls::PskKeys::parse(content.text, file);
  OPENSSL_cleanse(content.text.data(), content.text.size());
  return keys;
}

}  // namespace router::serving
