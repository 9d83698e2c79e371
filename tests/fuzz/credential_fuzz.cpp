#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/support.h"
#include "tls/credential.h"

/// Certificates and keys. The first byte chooses what follows: 0 a PEM file that holds both, 1 a certificate in DER beside the
/// key of kSeed (the seeds are certificates of that key, so that a changed one can still be accepted), 2 a key in DER and then
/// the certificate in PEM, 3 a chain in PEM.
namespace router::tls {
namespace {

using fuzz::require;

constexpr std::array<unsigned char, 32> kSeed{};  // an Ed25519 key that protects nothing

std::string content_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem_of_own_key() {
  const Owned<EVP_PKEY> key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, kSeed.data(), kSeed.size()));
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  require(PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return content_of(bio.get());
}

std::string pem_of(const char* label, std::string_view der) {
  if (der.empty()) return {};  // OpenSSL writes no empty PEM block
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  require(PEM_write_bio(bio.get(), label, "", reinterpret_cast<const unsigned char*>(der.data()),
                        static_cast<long>(der.size())) > 0);
  return content_of(bio.get());
}

struct Files {
  fuzz::MemoryFile certificate;
  fuzz::MemoryFile key;
  const std::string own_key = pem_of_own_key();

  void write(std::uint8_t what, std::string_view input) {
    const std::size_t half = std::min(input.find("-----BEGIN"), input.size());
    switch (what % 4) {
      case 0:
        certificate.write(input);
        key.write(input);
        return;
      case 1:
        certificate.write(pem_of("CERTIFICATE", input));
        key.write(own_key);
        return;
      case 2:
        key.write(pem_of("PRIVATE KEY", input.substr(0, half)));
        certificate.write(input.substr(half));
        return;
      default: certificate.write(input); key.write(own_key);
    }
  }
};

void try_files(const Files& files) {
  std::vector<FileMistake> mistakes;
  const auto credential = read_credential({files.certificate.path(), files.key.path(), ""}, mistakes);
  require(ERR_peek_error() == 0);  // an error that is left here would be reported for another connection
  require(credential.has_value() == mistakes.empty());
  for (const FileMistake& mistake : mistakes) {
    require(mistake.text.starts_with(files.certificate.path()) || mistake.text.starts_with(files.key.path()));
    require(mistake.text.size() < 300);
  }
  if (!credential) return;
  require(!credential->chain.empty() && credential->key != nullptr);
  for (const std::string& name : credential->info.names) {
    require(std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
    require(credential->bears(name));
  }
}

}  // namespace
}  // namespace router::tls

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static router::tls::Files files;
  if (size < 2) return 0;
  files.write(data[0], router::fuzz::text_of(data + 1, size - 1));
  router::tls::try_files(files);
  return 0;
}
