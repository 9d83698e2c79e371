#include "tls/credential.h"

#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <optional>

#include "router/base/assert.h"
#include "router/base/text.h"
#include "router/files/read_file.h"

namespace router::tls {
namespace {

constexpr std::size_t kFileMax = 1024 * 1024;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // some Windows editors write it

/// A text that is overwritten in memory when it is destroyed.
struct SecretText {
  std::string text;
  SecretText() = default;
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { OPENSSL_cleanse(text.data(), text.size()); }
};

/// The DNS names of a certificate, or its common name if it has no subjectAltName. Nothing if that extension cannot be read.
std::optional<std::vector<std::string>> names_of(X509* certificate) {
  std::vector<std::string> names;
  constexpr int kAbsent = -1;
  int found = 0;
  const Owned<GENERAL_NAMES> alternatives(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &found, nullptr)));
  ERR_clear_error();
  if (!alternatives && found != kAbsent) return std::nullopt;
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    names.push_back(lower_case({text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))}));
    ROUTER_PLANT(std::any_of(names.back().begin(), names.back().end(), [](char c) { return c >= 0 && c < ' '; }));
  }
  if (alternatives) return names;
  char common_name[256];
  const int length =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common_name, sizeof common_name);
  if (length > 0) names.push_back(lower_case({common_name, static_cast<std::size_t>(length)}));
  return names;
}

/// Nothing if it is not a valid time.
std::optional<std::chrono::sys_seconds> time_of(const ASN1_TIME* time) {
  std::tm utc{};
  const bool read = time != nullptr && ASN1_TIME_to_tm(time, &utc) == 1;
  ERR_clear_error();
  if (!read) return std::nullopt;
  return std::chrono::sys_seconds(std::chrono::seconds(timegm(&utc)));
}

int give_password(char* into, int size, int, void* password) {
  const auto& text = static_cast<const SecretText*>(password)->text;
  if (text.empty() || text.size() > static_cast<std::size_t>(size)) return -1;
  std::copy(text.begin(), text.end(), into);  // OpenSSL takes the length, no zero at the end
  return static_cast<int>(text.size());
}

absl::Status read_secret(const std::string& file, SecretText& into) {
  auto read = read_file(file);
  if (!read.ok()) return read.status();
  into.text = std::move(*read);
  return absl::OkStatus();
}

absl::Status read_password(const CertificateFiles& files, SecretText& into) {
  if (files.password_file.empty()) return absl::OkStatus();
  if (absl::Status read = read_secret(files.password_file, into); !read.ok()) return read;
  if (into.text.starts_with(kByteOrderMark)) into.text.erase(0, kByteOrderMark.size());
  while (!into.text.empty() && (into.text.back() == '\n' || into.text.back() == '\r')) into.text.pop_back();
  return absl::OkStatus();
}

/// Null if `pem` holds no key, or one that the password does not decrypt.
Owned<EVP_PKEY> parse_key(const std::string& pem, SecretText& password) {
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  ERR_clear_error();
  Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_password, &password));
  ERR_clear_error();
  return key;
}

absl::StatusOr<Owned<EVP_PKEY>> read_key(const CertificateFiles& files, SecretText& password) {
  SecretText pem;
  if (absl::Status read = read_secret(files.key_file, pem); !read.ok()) return read;
  if (Owned<EVP_PKEY> key = parse_key(pem.text, password)) return key;
  const bool encrypted = pem.text.find("ENCRYPTED") != std::string::npos;
  if (encrypted && files.password_file.empty()) {
    return mistake(files.key_file, "the private key is encrypted: give its password_file");
  }
  if (encrypted) {
    return mistake(files.key_file, absl::StrCat("the private key does not open with the password in ", files.password_file));
  }
  return mistake(files.key_file, "holds no private key in PEM, or a malformed one");
}

absl::Status check_pair(const CertificateFiles& files, X509* leaf, EVP_PKEY* key) {
  const bool matches = X509_check_private_key(leaf, key) == 1;
  ERR_clear_error();
  if (matches) return absl::OkStatus();
  return mistake(files.key_file,
                 absl::StrCat("the private key does not belong to the first certificate in ", files.certificate_file));
}

}  // namespace

absl::Status mistake(const std::string& file, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", what));
}

absl::StatusOr<std::string> read_file(const std::string& file) {
  files::FileText read = files::read_file(file, kFileMax);
  if (!read.mistake.empty()) return mistake(file, read.mistake);
  if (read.text.empty()) return mistake(file, "is empty");
  return std::move(read.text);
}

absl::StatusOr<std::vector<Owned<X509>>> read_certificates(const std::string& file) {
  auto text = read_file(file);
  if (!text.ok()) return text.status();
  return parse_certificates({file, std::move(*text)});
}

absl::StatusOr<std::vector<Owned<X509>>> parse_certificates(const PemText& pem) {
  const Owned<BIO> bio(BIO_new_mem_buf(pem.text.data(), static_cast<int>(pem.text.size())));
  std::vector<Owned<X509>> certificates;
  ERR_clear_error();
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) certificates.emplace_back(certificate);
  const unsigned long error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) return mistake(pem.name, absl::StrCat("certificate ", certificates.size() + 1, " is malformed PEM"));
  if (certificates.empty()) return mistake(pem.name, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  return certificates;
}

bool Credential::bears(const std::string& name) const {
  return std::find(info.names.begin(), info.names.end(), name) != info.names.end();
}

std::optional<Credential> read_credential(const CertificateFiles& files, std::vector<FileMistake>& mistakes) {
  using Role = FileMistake::Role;
  const std::size_t mistakes_before = mistakes.size();
  const auto note = [&mistakes](Role role, const absl::Status& status) {
    if (!status.ok()) mistakes.push_back({role, 0, std::string(status.message())});
    return status.ok();
  };
  auto chain = read_certificates(files.certificate_file);
  X509* leaf = note(Role::kCertificate, chain.status()) ? chain->front().get() : nullptr;
  SecretText password;
  Owned<EVP_PKEY> key;
  if (note(Role::kPassword, read_password(files, password))) {
    auto read = read_key(files, password);
    if (note(Role::kKey, read.status())) key = std::move(*read);
  } else {
    SecretText unopened;
    note(Role::kKey, read_secret(files.key_file, unopened));
  }
  if (leaf != nullptr && key != nullptr) note(Role::kKey, check_pair(files, leaf, key.get()));
  auto names = leaf != nullptr ? names_of(leaf) : std::nullopt;
  if (leaf != nullptr && !names) {
    note(Role::kCertificate, mistake(files.certificate_file, "the first certificate's subjectAltName cannot be read"));
  }
  const auto begins = leaf != nullptr ? time_of(X509_get0_notBefore(leaf)) : std::nullopt;
  const auto ends = leaf != nullptr ? time_of(X509_get0_notAfter(leaf)) : std::nullopt;
  if (leaf != nullptr && (!begins || !ends)) {
    note(Role::kCertificate, mistake(files.certificate_file, "the first certificate's validity period cannot be read"));
  }
  if (mistakes.size() > mistakes_before) return std::nullopt;
  Credential credential;
  credential.info = {files.certificate_file, std::move(*names), *begins, *ends};
  credential.chain = std::move(*chain);
  credential.key = std::move(key);
  return credential;
}

absl::StatusOr<Credential> parse_credential(const PemText& certificate, const PemText& key) {
  auto chain = parse_certificates(certificate);
  if (!chain.ok()) return chain.status();
  Credential credential;
  credential.chain = std::move(*chain);
  credential.info.file = certificate.name;
  SecretText no_password;
  credential.key = parse_key(key.text, no_password);
  if (!credential.key) return mistake(key.name, "holds no private key in PEM, or one that is malformed or encrypted");
  const CertificateFiles names{certificate.name, key.name, ""};
  if (absl::Status pair = check_pair(names, credential.chain.front().get(), credential.key.get()); !pair.ok()) return pair;
  return credential;
}

}  // namespace router::tls
