#include "tls/psk.h"

#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tls/owned.h"
#include "tls/settings.h"

namespace router::tls {
namespace {

constexpr std::size_t kIdentityBytes = 16;
/// An external PSK belongs to one hash (RFC 8446, section 4.2.11), so there is one cipher: this one has SHA-256.
constexpr const char* kCipher = "TLS_AES_128_GCM_SHA256";
constexpr unsigned char kCipherNumber[] = {0x13, 0x01};

/// What TLS uses of one key for one purpose.
struct Secret {
  std::array<unsigned char, kIdentityBytes> identity;  // sent in clear; the server finds the key by it
  PskKeys::Key key;
};

}  // namespace

/// The secrets of one context, and the context that refers to them.
struct PskSecrets {
  PskSecrets() = default;
  PskSecrets(const PskSecrets&) = delete;
  PskSecrets& operator=(const PskSecrets&) = delete;
  ~PskSecrets() { OPENSSL_cleanse(secrets.data(), sizeof secrets); }

  std::array<Secret, PskKeys::kKeysMax> secrets{};
  std::size_t size = 0;
  Owned<SSL_CTX> context;
};

namespace {

/// HMAC-SHA-256 of a label. It reveals nothing of the key, which has 256 random bits.
bool derive(const PskKeys::Key& key, const std::string& label, PskKeys::Key& into) {
  unsigned size = 0;
  return HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(label.data()),
              label.size(), into.data(), &size) != nullptr &&
         size == into.size();
}

bool derive(const PskKeys::Key& key, PskPurpose purpose, Secret& into) {
  const std::string label = absl::StrCat("inference-router fleet 1 ", purpose == PskPurpose::kLink ? "link" : "requests", " ");
  PskKeys::Key identity{};
  if (!derive(key, label + "identity", identity) || !derive(key, label + "key", into.key)) return false;
  std::memcpy(into.identity.data(), identity.data(), into.identity.size());
  return true;
}

int secrets_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

const PskSecrets& secrets_of(SSL* ssl) {
  return *static_cast<const PskSecrets*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), secrets_index()));
}

/// The form in which OpenSSL takes an external PSK. Null when memory is short.
SSL_SESSION* session_with(SSL* ssl, const Secret& secret) {
  Owned<SSL_SESSION> session(SSL_SESSION_new());
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kCipherNumber);
  const bool made = session && cipher != nullptr &&
                    SSL_SESSION_set1_master_key(session.get(), secret.key.data(), secret.key.size()) == 1 &&
                    SSL_SESSION_set_cipher(session.get(), cipher) == 1 &&
                    SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) == 1;
  return made ? session.release() : nullptr;
}

// The two callbacks of OpenSSL: no exception may pass through its frames.

/// An identity that nobody here has is no error for OpenSSL, which then looks for a certificate and finds none.
int find_session(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session) noexcept {
  const PskSecrets& all = secrets_of(ssl);
  const Secret* found = nullptr;
  for (std::size_t i = 0; i < all.size && size == kIdentityBytes; ++i) {
    if (CRYPTO_memcmp(all.secrets[i].identity.data(), identity, size) == 0) found = &all.secrets[i];
  }
  *session = found != nullptr ? session_with(ssl, *found) : nullptr;
  return found == nullptr || *session != nullptr ? 1 : 0;
}

/// `hash`, if given, is that of the cipher which the server has chosen already, in a HelloRetryRequest.
int use_session(SSL* ssl, const EVP_MD* hash, const unsigned char** identity, std::size_t* size,
                SSL_SESSION** session) noexcept {
  const Secret& first = secrets_of(ssl).secrets.front();
  *session = nullptr;
  if (hash != nullptr && EVP_MD_is_a(hash, "SHA256") != 1) return 0;
  *session = session_with(ssl, first);
  *identity = first.identity.data();
  *size = first.identity.size();
  return *session != nullptr ? 1 : 0;
}

/// A peer that answers with a certificate, whatever certificate, does not have our key.
int refuse_certificate(X509_STORE_CTX*, void*) noexcept { return 0; }

absl::StatusOr<std::unique_ptr<PskSecrets>> make_context(const PskKeys& keys, PskPurpose purpose, const SSL_METHOD* method) {
  auto made = std::make_unique<PskSecrets>();
  for (made->size = 0; made->size < keys.size(); ++made->size) {
    if (!derive(keys[made->size], purpose, made->secrets[made->size])) return absl::InternalError("OpenSSL has no HMAC");
  }
  made->context.reset(SSL_CTX_new(method));
  SSL_CTX* context = made->context.get();
  if (context == nullptr) return absl::InternalError("OpenSSL cannot make a context");
  apply_settings(context);
  SSL_CTX_set_ex_data(context, secrets_index(), made.get());
  // Without `psk_ke`, OpenSSL's default: it agrees on psk_dhe_ke only.
  const bool set = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_ciphersuites(context, kCipher) == 1 && SSL_CTX_set_num_tickets(context, 0) == 1;
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_cert_verify_callback(context, refuse_certificate, nullptr);
  if (!set) {
    ERR_clear_error();
    return absl::InternalError("OpenSSL cannot use TLS 1.3 with a shared key");
  }
  return made;
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool parse_key(std::string_view line, PskKeys::Key& into) {
  if (line.size() != 2 * into.size()) return false;
  int wrong = 0;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const int high = digit_of(line[2 * i]);
    const int low = digit_of(line[2 * i + 1]);
    wrong |= high | low;  // negative if either is
    into[i] = static_cast<unsigned char>((high & 15) << 4 | (low & 15));
  }
  return wrong >= 0;
}

}  // namespace

PskKeys::~PskKeys() { OPENSSL_cleanse(keys_.data(), sizeof keys_); }

bool operator==(const PskKeys& a, const PskKeys& b) {
  return a.size_ == b.size_ && CRYPTO_memcmp(a.keys_.data(), b.keys_.data(), sizeof a.keys_) == 0;
}

bool PskKeys::all_in(const PskKeys& others) const {
  std::size_t found = 0;
  for (std::size_t own = 0; own < size_; ++own) {
    bool is_there = false;
    for (std::size_t other = 0; other < others.size_; ++other) {
      is_there |= CRYPTO_memcmp(keys_[own].data(), others.keys_[other].data(), kKeyBytes) == 0;
    }
    found += is_there ? 1 : 0;
  }
  return found == size_;
}

absl::StatusOr<PskKeys> PskKeys::parse(std::string_view text, const std::string& name) {
  constexpr std::string_view kBlank = " \t\r\n";
  text = text.substr(0, text.find_last_not_of(kBlank) + 1);
  if (text.empty()) return absl::InvalidArgumentError(absl::StrCat(name, ": it has no key"));
  PskKeys keys;
  for (std::size_t line = 1; !text.empty(); ++line) {
    std::string_view digits = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), digits.size() + 1));
    if (digits.ends_with('\r')) digits.remove_suffix(1);
    const auto wrong = [&name, line](const char* what) {
      return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", what));
    };
    if (line > kKeysMax) return wrong("there are more than two keys");
    if (!parse_key(digits, keys.keys_[keys.size_])) return wrong("a key is 64 hexadecimal digits (openssl rand -hex 32)");
    ++keys.size_;
  }
  return keys;
}

PskServerContext::PskServerContext() = default;
PskServerContext::~PskServerContext() = default;
SSL_CTX* PskServerContext::get() const { return secrets_->context.get(); }

absl::StatusOr<std::vector<std::shared_ptr<PskServerContext>>> PskServerContext::make(const PskKeys& keys, PskPurpose purpose,
                                                                                      std::size_t shards) {
  std::vector<std::shared_ptr<PskServerContext>> made;
  while (made.size() < shards) {
    auto secrets = make_context(keys, purpose, TLS_server_method());
    if (!secrets.ok()) return secrets.status();
    SSL_CTX_set_psk_find_session_callback((*secrets)->context.get(), find_session);
    made.emplace_back(new PskServerContext);
    made.back()->secrets_ = *std::move(secrets);
  }
  return made;
}

PskClientContext::PskClientContext() = default;
PskClientContext::~PskClientContext() = default;
SSL_CTX* PskClientContext::get() const { return secrets_->context.get(); }

absl::StatusOr<std::vector<std::shared_ptr<PskClientContext>>> PskClientContext::make(const PskKeys& keys, PskPurpose purpose,
                                                                                      std::size_t shards) {
  std::vector<std::shared_ptr<PskClientContext>> made;
  while (made.size() < shards) {
    auto secrets = make_context(keys, purpose, TLS_client_method());
    if (!secrets.ok()) return secrets.status();
    SSL_CTX* context = (*secrets)->context.get();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_psk_use_session_callback(context, use_session);
    made.emplace_back(new PskClientContext);
    made.back()->secrets_ = *std::move(secrets);
  }
  return made;
}

}  // namespace router::tls
