#include "tests/support/certificates.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace router::test {
namespace {

using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

void check(bool fine, const char* what) {
  if (!fine) throw std::runtime_error(what);
}

Key make_key(CertificateRequest::Key type) {
  EVP_PKEY* key = type == CertificateRequest::Key::kRsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
  check(key != nullptr, "no key could be made");
  return Key(key, EVP_PKEY_free);
}

void add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  check(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "an extension could not be added");
  X509_EXTENSION_free(extension);
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    in6_addr address;
    const bool is_ip = inet_pton(AF_INET, name.c_str(), &address) == 1 || inet_pton(AF_INET6, name.c_str(), &address) == 1;
    list += (list.empty() ? "" : ",") + std::string(is_ip ? "IP:" : "DNS:") + name;
  }
  return list;
}

/// An unsigned certificate without extensions. If `issuer` is nullptr, the certificate names itself as its issuer.
Certificate make_certificate(const std::string& common_name, EVP_PKEY* key, X509* issuer, long serial,
                             const CertificateRequest& request) {
  Certificate certificate(X509_new(), X509_free);
  X509* made = certificate.get();
  X509_set_version(made, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made), serial);
  X509_gmtime_adj(X509_getm_notBefore(made), request.begins.count());
  X509_gmtime_adj(X509_getm_notAfter(made), request.ends.count());
  const auto* text = reinterpret_cast<const unsigned char*>(common_name.c_str());
  X509_NAME_add_entry_by_NID(X509_get_subject_name(made), NID_commonName, MBSTRING_UTF8, text, -1, -1, 0);
  X509_set_issuer_name(made, X509_get_subject_name(issuer != nullptr ? issuer : made));
  X509_set_pubkey(made, key);
  return certificate;
}

std::string pem_of(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  check(PEM_write_bio_X509(bio, certificate) == 1, "a certificate could not be written");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return pem;
}

std::string pem_of(EVP_PKEY* key, const std::string& password) {
  BIO* bio = BIO_new(BIO_s_mem());
  const EVP_CIPHER* cipher = password.empty() ? nullptr : EVP_aes_256_cbc();
  check(PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, password.data(), static_cast<int>(password.size()), nullptr, nullptr) ==
            1,
        "a key could not be written");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return pem;
}

}  // namespace

struct TestAuthority::Impl {
  std::filesystem::path folder;
  Key key;
  Certificate certificate;
  std::string ca_file;
  long serial = 1;
};

TestAuthority::TestAuthority() : impl_(std::make_unique<Impl>()) {
  std::string folder = (std::filesystem::temp_directory_path() / "router-test-XXXXXX").string();
  check(::mkdtemp(folder.data()) != nullptr, "no temporary folder could be made");
  impl_->folder = folder;
  impl_->key = make_key(CertificateRequest::Key::kEcdsa);
  impl_->certificate = make_certificate("Test authority " + folder, impl_->key.get(), nullptr, impl_->serial++, {});
  X509* own = impl_->certificate.get();
  add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(own, own, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(own, own, NID_subject_key_identifier, "hash");
  check(X509_sign(own, impl_->key.get(), EVP_sha256()) > 0, "the authority could not be signed");
  impl_->ca_file = write_file(pem_of(own));
}

TestAuthority::~TestAuthority() {
  std::error_code ignored;
  std::filesystem::remove_all(impl_->folder, ignored);
}

const std::string& TestAuthority::ca_file() const { return impl_->ca_file; }

CertificatePaths TestAuthority::issue(const CertificateRequest& request) {
  const Key key = make_key(request.key);
  X509* issuer = impl_->certificate.get();
  const Certificate certificate = make_certificate("Test certificate", key.get(), issuer, impl_->serial++, request);
  add_extension(certificate.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  if (!request.names.empty()) {
    add_extension(certificate.get(), issuer, NID_subject_alt_name, alternative_names(request.names));
  }
  check(X509_sign(certificate.get(), impl_->key.get(), EVP_sha256()) > 0, "a certificate could not be signed");
  CertificatePaths paths;
  paths.certificate_file = write_file(pem_of(certificate.get()));
  paths.key_file = write_file(pem_of(key.get(), request.password));
  if (!request.password.empty()) paths.password_file = write_file(request.password + "\n");
  return paths;
}

std::string TestAuthority::write_file(const std::string& content) {
  const std::string path = (impl_->folder / (std::to_string(impl_->serial++) + ".pem")).string();
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

}  // namespace router::test
