#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace router::test {

/// The properties of a certificate for a test.
struct CertificateRequest {
  enum class Key { kEcdsa, kRsa };

  std::vector<std::string> names{"localhost"};  // DNS names and IP addresses
  Key key = Key::kEcdsa;                        // P-256 or RSA-2048
  std::chrono::seconds begins{-3600};           // relative to now
  std::chrono::seconds ends{24 * 3600};
  std::string password;  // if not empty, the key is encrypted with it
};

/// Paths of PEM files.
struct CertificatePaths {
  std::string certificate_file;
  std::string key_file;
  std::string password_file;  // empty: the key is not encrypted
};

/// A certificate authority of a test, in a temporary folder that is removed at its end. Throws when a step fails.
class TestAuthority {
 public:
  TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;
  ~TestAuthority();

  const std::string& ca_file() const;
  /// Makes a key and a certificate for it, signed by this authority.
  CertificatePaths issue(const CertificateRequest& request = {});
  /// Writes `content` into a new file of the folder, and returns its path.
  std::string write_file(const std::string& content);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace router::test
