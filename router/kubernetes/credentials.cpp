#include "router/kubernetes/credentials.h"

#include <algorithm>
#include <utility>

#include "router/base/log.h"
#include "router/files/read_file.h"

namespace router::kubernetes {
namespace {

constexpr std::size_t kFileMax = 1024 * 1024;
constexpr std::size_t kTokenMax = 64 * 1024;  // API servers accept heads of 1 MB; a token has about 1 KB

absl::StatusOr<std::string> read(const Material& material, std::size_t bytes_max) {
  if (material.file.empty()) return material.text;
  files::FileText read = files::read_file(material.file, bytes_max);
  if (!read.mistake.empty()) return absl::InvalidArgumentError(config::shown_path(material.file) + " " + read.mistake);
  return std::move(read.text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Credentials>> Credentials::make(ClusterConfig cluster, const Clock& clock) {
  std::unique_ptr<Credentials> made(new Credentials(std::move(cluster), clock));
  if (absl::Status read = made->read_token(); !read.ok()) return read;
  if (absl::Status read = made->read_tls(); !read.ok()) return read;
  made->read_at_ = clock.now();
  return made;
}

absl::Status Credentials::read_token() {
  if (!cluster_.token.is_given()) return absl::OkStatus();
  auto text = read(cluster_.token, kTokenMax);
  if (!text.ok()) return text.status();
  while (text->ends_with('\n') || text->ends_with('\r') || text->ends_with(' ')) text->pop_back();
  // The token becomes part of a head; a line break in it would end the field.
  const bool is_visible = std::all_of(text->begin(), text->end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (text->empty() || !is_visible) {
    return absl::InvalidArgumentError(cluster_.token.name +
                                      " holds no token: one line of visible ASCII characters is expected");
  }
  token_ = std::move(*text);
  return absl::OkStatus();
}

absl::Status Credentials::read_tls() {
  if (!cluster_.uses_tls) return absl::OkStatus();
  const auto authorities = read(cluster_.authorities, kFileMax);
  if (!authorities.ok()) return authorities.status();
  const auto certificate = read(cluster_.certificate, kFileMax);
  if (!certificate.ok()) return certificate.status();
  const auto key = read(cluster_.key, kFileMax);
  if (!key.ok()) return key.status();
  Texts texts{*authorities, *certificate, *key};
  if (texts == texts_) return absl::OkStatus();

  tls::ClientOptions options;
  options.verify = cluster_.verify;
  if (cluster_.authorities.is_given()) options.ca = tls::PemText{cluster_.authorities.name, *authorities};
  if (cluster_.certificate.is_given()) {
    options.certificate = tls::ClientCertificate{{cluster_.certificate.name, *certificate}, {cluster_.key.name, *key}};
  }
  const auto made = tls::ClientContext::make(options, 1);
  if (!made.ok()) return made.status();
  tls_ = made->front();
  texts_ = std::move(texts);
  return absl::OkStatus();
}

void Credentials::log_failure(const absl::Status& status) {
  const std::string text(status.message());
  if (text.empty()) {
    mistakes_.recovered();
  } else if (mistakes_.should_log(text)) {
    log::warning("kubernetes: " + text + "; the last usable content stays in use");
  }
}

void Credentials::read_again() {
  if (clock_.now() - read_at_ < kReadAgain) return;
  read_at_ = clock_.now();
  absl::Status read = read_token();
  read.Update(read_tls());
  log_failure(read);
}

const std::string& Credentials::token() {
  read_again();
  return token_;
}

std::shared_ptr<tls::ClientContext> Credentials::tls() {
  read_again();
  return tls_;
}

bool Credentials::refused(const std::string& token) {
  if (const absl::Status read = read_token(); !read.ok()) log_failure(read);
  return token_ != token;
}

}  // namespace router::kubernetes
