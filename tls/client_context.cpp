#include <absl/strings/escaping.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <array>
#include <optional>

#include "tls/context.h"
#include "tls/credential.h"
#include "tls/settings.h"

namespace router::tls {
namespace {

/// The authorities that `options` gives, parsed once for all shards; empty for the system's.
absl::StatusOr<std::vector<Owned<X509>>> read_authorities(const ClientOptions& options) {
  if (!options.verify || options.trust_nobody) return std::vector<Owned<X509>>{};
  if (options.ca) return parse_certificates(*options.ca);
  if (options.ca_file.empty()) return std::vector<Owned<X509>>{};
  return read_certificates(options.ca_file);
}

absl::StatusOr<std::optional<Credential>> parse_own(const ClientOptions& options) {
  if (!options.certificate) return std::nullopt;
  auto parsed = parse_credential(options.certificate->certificate, options.certificate->key);
  if (!parsed.ok()) return parsed.status();
  return std::move(*parsed);
}

bool use_credential(SSL_CTX* context, const Credential& credential) {
  if (SSL_CTX_use_certificate(context, credential.chain.front().get()) != 1) return false;
  for (std::size_t i = 1; i < credential.chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, credential.chain[i].get()) != 1) return false;
  }
  return SSL_CTX_use_PrivateKey(context, credential.key.get()) == 1;
}

/// The system's trust store, loaded once for all shards: its file holds more than a hundred certificates. It is not changed
/// afterwards, so sharing it costs only a lock in a handshake with a replica, which is rare.
Owned<X509_STORE> system_store() {
  Owned<X509_STORE> store(X509_STORE_new());
  if (store) X509_STORE_set_default_paths(store.get());
  ERR_clear_error();
  return store;
}

absl::StatusOr<std::string> trust_of(const ClientOptions& options, const std::vector<Owned<X509>>& authorities) {
  if (options.trust_nobody) return "nobody";
  if (!options.verify) return "anybody";
  if (authorities.empty()) return "the system's";
  const Owned<EVP_MD_CTX> digest(EVP_MD_CTX_new());
  if (!digest || EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) != 1) return absl::InternalError("no digest");
  for (const Owned<X509>& each : authorities) {
    unsigned char* encoded = nullptr;
    const int size = i2d_X509(each.get(), &encoded);
    if (size <= 0) return absl::InternalError("an authority cannot be encoded");
    EVP_DigestUpdate(digest.get(), encoded, static_cast<std::size_t>(size));
    OPENSSL_free(encoded);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned size = 0;
  EVP_DigestFinal_ex(digest.get(), sum.data(), &size);
  return absl::BytesToHexString({reinterpret_cast<const char*>(sum.data()), size});
}

}  // namespace

struct ClientContext::Impl {
  Owned<SSL_CTX> context;
  std::string trust;
};

ClientContext::ClientContext() : impl_(std::make_unique<Impl>()) {}
ClientContext::~ClientContext() = default;
SSL_CTX* ClientContext::get() const { return impl_->context.get(); }
const std::string& ClientContext::trust() const { return impl_->trust; }

absl::StatusOr<std::vector<std::shared_ptr<ClientContext>>> ClientContext::make(const ClientOptions& options,
                                                                                std::size_t shards) {
  const auto authorities = read_authorities(options);
  if (!authorities.ok()) return authorities.status();
  const auto own = parse_own(options);
  if (!own.ok()) return own.status();
  const auto trust = trust_of(options, *authorities);
  if (!trust.ok()) return trust.status();
  const bool verify = options.verify || options.trust_nobody;
  const bool uses_system = options.verify && !options.trust_nobody && !options.ca && options.ca_file.empty();
  const Owned<X509_STORE> system = uses_system ? system_store() : nullptr;
  const std::string protocols = alpn_list(options.alpn);
  std::vector<std::shared_ptr<ClientContext>> made;
  for (std::size_t shard = 0; shard < shards; ++shard) {
    std::shared_ptr<ClientContext> client(new ClientContext);
    client->impl_->trust = *trust;
    client->impl_->context.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* context = client->get();
    if (context == nullptr) return absl::InternalError("OpenSSL cannot make a context");
    apply_settings(context);
    SSL_CTX_set_verify(context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (uses_system) SSL_CTX_set1_cert_store(context, system.get());
    for (const Owned<X509>& authority : *authorities) X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get());
    if (own->has_value() && !use_credential(context, **own)) {
      ERR_clear_error();
      return mistake(options.certificate->certificate.name, "OpenSSL does not accept the certificate or its key");
    }
    if (!protocols.empty()) {
      SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(protocols.data()),
                              static_cast<unsigned>(protocols.size()));
    }
    made.push_back(std::move(client));
  }
  return made;
}

}  // namespace router::tls
