#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "tls/context.h"
#include "tls/owned.h"

namespace router::tls {

/// The status for an operator's mistake, with the message `file: what`.
absl::Status mistake(const std::string& file, const std::string& what);

/// The whole content of `file`, a regular file, which must not be empty or larger than 1 MB (router/files/read_file.h).
absl::StatusOr<std::string> read_file(const std::string& file);

/// Every certificate of a PEM file, at least one; skips other kinds of blocks.
absl::StatusOr<std::vector<Owned<X509>>> read_certificates(const std::string& file);
absl::StatusOr<std::vector<Owned<X509>>> parse_certificates(const PemText& pem);

/// A certificate with its chain and its private key, read and checked once for all shards.
struct Credential {
  std::vector<Owned<X509>> chain;  // leaf first
  Owned<EVP_PKEY> key;
  CertificateInfo info;

  int key_type() const { return EVP_PKEY_get_base_id(key.get()); }
  bool bears(const std::string& name) const;
};

/// Reads and checks a certificate with its key. Adds all mistakes to `mistakes`, as `file: what is wrong`: not PEM, a key that
/// is encrypted or belongs to another certificate. Returns nothing if there is any. Does not check whether the certificate is
/// valid now. No message contains anything of a key or a password.
std::optional<Credential> read_credential(const CertificateFiles& files, std::vector<FileMistake>& mistakes);
/// A client's certificate, from memory. Checks the PEM and that the key belongs to the certificate; fails with the first
/// mistake.
absl::StatusOr<Credential> parse_credential(const PemText& certificate, const PemText& key);

}  // namespace router::tls
