#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace router::test {

/// What a test wants of a certificate.
struct CertificateRequest {
  enum class Key { kEcdsa, kRsa };

  std::vector<std::string> names{"localhost"};  // DNS names and IP addresses
  Key key = Key::kEcdsa;                        // P-256 or RSA-2048
  std::chrono::seconds begins{-3600};           // from now
  std::chrono::seconds ends{24 * 3600};
  std::string password;  // not empty: the key is encrypted with it
};

/// PEM files.
struct CertificatePaths {
  std::string certificate_file;
  std::string key_file;
  std::string password_file;  // empty: the key is not encrypted
};

/// A certificate authority of a test's own, in a temporary folder that goes with it. Throws when something fails.
class TestAuthority {
 public:
  TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;
  ~TestAuthority();

  const std::string& ca_file() const;
  /// Makes a key and a certificate for it, signed by this authority.
  CertificatePaths issue(const CertificateRequest& request = {});
  /// Writes `content` into a new file of the folder; its path.
  std::string write_file(const std::string& content);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace router::test
