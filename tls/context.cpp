#include "tls/context.h"

#include <absl/strings/str_cat.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

namespace router::tls {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

/// Mozilla's "intermediate" policy (server side TLS, version 5.7): TLS 1.3 with its own suites, and these for 1.2.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:"
    "DHE-RSA-CHACHA20-POLY1305";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr unsigned char kSessionContext[] = "inference-router";
constexpr std::size_t kReadBuffer = 32 * 1024;
constexpr std::size_t kFileMax = 1024 * 1024;

absl::Status mistake(const std::string& file, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", what));
}

absl::StatusOr<std::string> read_file(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return mistake(file, "cannot be read");
  std::ostringstream content;
  content << stream.rdbuf();
  std::string text = std::move(content).str();
  if (text.empty()) return mistake(file, "is empty or not a file");
  if (text.size() > kFileMax) return mistake(file, "is larger than 1 MB");
  return text;
}

/// A certificate with its chain and key, read once for all shards.
struct Credential {
  std::vector<Owned<X509>> chain;  // leaf first
  Owned<EVP_PKEY> key;
  CertificateInfo info;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> names;
  const Owned<GENERAL_NAMES> alternatives(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    names.push_back(lower(std::string(text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)))));
  }
  if (!names.empty()) return names;
  char common_name[256];
  if (X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common_name, sizeof common_name) > 0) {
    names.push_back(lower(common_name));
  }
  return names;
}

std::chrono::system_clock::time_point time_of(const ASN1_TIME* time) {
  std::tm utc{};
  ASN1_TIME_to_tm(time, &utc);
  return std::chrono::system_clock::from_time_t(timegm(&utc));
}

absl::Status read_chain(const CertificateFiles& files, Credential& into) {
  const auto text = read_file(files.certificate_file);
  if (!text.ok()) return text.status();
  const Owned<BIO> bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) into.chain.emplace_back(certificate);
  const unsigned long error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (into.chain.empty()) return mistake(files.certificate_file, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  if (!at_end) return mistake(files.certificate_file, absl::StrCat("certificate ", into.chain.size() + 1, " is malformed PEM"));
  X509* leaf = into.chain.front().get();
  if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
    return mistake(files.certificate_file, "the certificate has expired");
  if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
    return mistake(files.certificate_file, "the certificate is not valid yet");
  into.info = {files.certificate_file, names_of(leaf), time_of(X509_get0_notAfter(leaf))};
  return absl::OkStatus();
}

int give_password(char* into, int size, int, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  const auto length = std::min(static_cast<std::size_t>(size), text.size());
  std::memcpy(into, text.data(), length);
  return static_cast<int>(length);
}

absl::Status read_key(const CertificateFiles& files, Credential& into) {
  const auto text = read_file(files.key_file);
  if (!text.ok()) return text.status();
  std::string password;
  if (!files.password_file.empty()) {
    auto read = read_file(files.password_file);
    if (!read.ok()) return read.status();
    password = *read;
    while (!password.empty() && (password.back() == '\n' || password.back() == '\r')) password.pop_back();
  }
  const Owned<BIO> bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
  into.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_password, &password));
  OPENSSL_cleanse(password.data(), password.size());
  ERR_clear_error();
  if (!into.key) {
    const bool encrypted = text->find("ENCRYPTED") != std::string::npos;
    if (encrypted && files.password_file.empty())
      return mistake(files.key_file, "the private key is encrypted: give its password_file");
    if (encrypted)
      return mistake(files.key_file, absl::StrCat("the private key does not open with the password in ", files.password_file));
    return mistake(files.key_file, "holds no private key in PEM");
  }
  if (X509_check_private_key(into.chain.front().get(), into.key.get()) != 1) {
    ERR_clear_error();
    return mistake(files.key_file,
                   absl::StrCat("the private key does not belong to the certificate in ", files.certificate_file));
  }
  return absl::OkStatus();
}

absl::Status use(SSL_CTX* context, const Credential& credential) {
  bool fine = SSL_CTX_use_certificate(context, credential.chain.front().get()) == 1;
  SSL_CTX_clear_chain_certs(context);
  for (std::size_t i = 1; i < credential.chain.size(); ++i)
    fine = fine && SSL_CTX_add1_chain_cert(context, credential.chain[i].get()) == 1;
  fine = fine && SSL_CTX_use_PrivateKey(context, credential.key.get()) == 1;
  ERR_clear_error();
  if (!fine) return mistake(credential.info.file, "the certificate cannot be used (key too short, or an unknown type)");
  return absl::OkStatus();
}

void set_common(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadBuffer);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void* ours) {
  const auto& list = *static_cast<const std::string*>(ours);
  unsigned char* found = nullptr;
  const int result = SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(list.data()),
                                           static_cast<unsigned>(list.size()), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;  // a client that offers only others gets HTTP/1.1, as from nginx
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

// --- tickets
// -----------------------------------------------------------------------------------------------------------------------

struct TicketKeys::Keys {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> cipher;
  std::array<unsigned char, 32> mac;
};

struct TicketKeys::Impl {
  static constexpr std::size_t kKept = 3;  // the present one and two before it: a ticket lives two to three hours
  mutable std::mutex mutex;
  std::vector<Keys> keys;  // the first encrypts
  bool random = true;

  Keys current() const {
    const std::lock_guard lock(mutex);
    return keys.front();
  }
  bool find(const unsigned char* name, Keys& into, bool& newest) const {
    const std::lock_guard lock(mutex);
    for (const Keys& each : keys) {
      if (std::memcmp(each.name.data(), name, each.name.size()) != 0) continue;
      into = each;
      newest = &each == &keys.front();
      return true;
    }
    return false;
  }
};

TicketKeys::TicketKeys() : impl_(std::make_unique<Impl>()) {}
TicketKeys::~TicketKeys() = default;

absl::StatusOr<std::shared_ptr<TicketKeys>> TicketKeys::make(const std::vector<std::string>& files) {
  std::shared_ptr<TicketKeys> made(new TicketKeys);
  made->impl_->random = files.empty();
  for (const std::string& file : files) {
    const auto text = read_file(file);
    if (!text.ok()) return text.status();
    constexpr std::size_t kBytes = 80;  // nginx's format: name, HMAC key, AES key
    if (text->size() != kBytes) return mistake(file, "a ticket key is 80 bytes (openssl rand 80)");
    Keys keys;
    std::memcpy(keys.name.data(), text->data(), 16);
    std::memcpy(keys.mac.data(), text->data() + 16, 32);
    std::memcpy(keys.cipher.data(), text->data() + 48, 32);
    made->impl_->keys.push_back(keys);
  }
  if (files.empty()) made->rotate();
  return made;
}

void TicketKeys::rotate() {
  if (!impl_->random) return;
  Keys fresh;
  RAND_bytes(fresh.name.data(), fresh.name.size());
  RAND_bytes(fresh.cipher.data(), fresh.cipher.size());
  RAND_bytes(fresh.mac.data(), fresh.mac.size());
  const std::lock_guard lock(impl_->mutex);
  impl_->keys.insert(impl_->keys.begin(), fresh);
  if (impl_->keys.size() > Impl::kKept) impl_->keys.resize(Impl::kKept);
}

// --- servers
// -----------------------------------------------------------------------------------------------------------------------

struct ServerContext::Impl {
  Owned<SSL_CTX> first;  // the default; connections begin with it
  std::vector<Owned<SSL_CTX>> others;
  std::map<std::string, SSL_CTX*, std::less<>> exact;
  std::map<std::string, SSL_CTX*, std::less<>> wildcard;  // `.example.org` for `*.example.org`
  std::vector<CertificateInfo> certificates;
  std::shared_ptr<TicketKeys> ticket_keys;
  std::string protocols;  // ALPN wire format

  SSL_CTX* find(std::string_view name) const {
    if (const auto found = exact.find(name); found != exact.end()) return found->second;
    const std::size_t dot = name.find('.');
    if (dot != std::string_view::npos) {
      if (const auto found = wildcard.find(name.substr(dot)); found != wildcard.end()) return found->second;
    }
    return nullptr;
  }

  static int choose_certificate(SSL* ssl, int*, void* self) {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX* found = static_cast<const Impl*>(self)->find(lower(name));
    if (found == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, found);
    return SSL_TLSEXT_ERR_OK;
  }

  static int index();
  static int ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int encrypt);
  absl::StatusOr<Owned<SSL_CTX>> make_context(const ServerOptions& options);
  void claim(const Credential& credential, SSL_CTX* context);
};

int ServerContext::Impl::index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int ServerContext::Impl::ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                                int encrypt) {
  const auto* self = static_cast<const Impl*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index()));
  if (self == nullptr) return 0;
  const TicketKeys::Impl& keys = *self->ticket_keys->impl_;
  TicketKeys::Keys key;
  bool newest = true;
  if (encrypt == 1) {
    key = keys.current();
    std::memcpy(name, key.name.data(), key.name.size());
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
  } else if (!keys.find(name, key, newest)) {
    return 0;  // from another router, or too old: a full handshake
  }
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
                             OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  const bool fine = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, encrypt) == 1 &&
                    EVP_MAC_CTX_set_params(mac, parameters) == 1;
  OPENSSL_cleanse(&key, sizeof key);
  if (!fine) return -1;
  return newest ? 1 : 2;
}

absl::StatusOr<Owned<SSL_CTX>> ServerContext::Impl::make_context(const ServerOptions& options) {
  Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
  if (!context) return absl::InternalError("OpenSSL gives no context");
  set_common(context.get());
  if (options.tls13_only) SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_cipher_list(context.get(), kCiphers);
  SSL_CTX_set1_groups_list(context.get(), kGroups);
  SSL_CTX_set_dh_auto(context.get(), 1);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_session_id_context(context.get(), kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_ex_data(context.get(), index(), this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context.get(), ticket);
  SSL_CTX_set_tlsext_servername_callback(context.get(), choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(context.get(), this);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, &protocols);
  return context;
}

void ServerContext::Impl::claim(const Credential& credential, SSL_CTX* context) {
  for (const std::string& name : credential.info.names) {
    name.starts_with("*.") ? wildcard.emplace(name.substr(1), context) : exact.emplace(name, context);
  }
}

ServerContext::ServerContext() : impl_(std::make_unique<Impl>()) {}
ServerContext::~ServerContext() = default;
SSL_CTX* ServerContext::get() const { return impl_->first.get(); }
const std::vector<CertificateInfo>& ServerContext::certificates() const { return impl_->certificates; }

absl::StatusOr<std::vector<std::shared_ptr<ServerContext>>> ServerContext::make(const ServerOptions& options,
                                                                                std::shared_ptr<TicketKeys> ticket_keys,
                                                                                std::size_t shards) {
  if (options.certificates.empty()) return absl::InvalidArgumentError("no certificate is given");
  std::vector<Credential> credentials;
  for (const CertificateFiles& files : options.certificates) {
    Credential credential;
    if (const absl::Status read = read_chain(files, credential); !read.ok()) return read;
    if (const absl::Status read = read_key(files, credential); !read.ok()) return read;
    credentials.push_back(std::move(credential));
  }
  std::vector<std::shared_ptr<ServerContext>> made;
  for (std::size_t shard = 0; shard < shards; ++shard) {
    std::shared_ptr<ServerContext> context(new ServerContext);
    Impl& impl = *context->impl_;
    impl.ticket_keys = ticket_keys;
    for (const std::string& protocol : options.alpn) {
      impl.protocols.push_back(static_cast<char>(protocol.size()));
      impl.protocols.append(protocol);
    }
    // Certificates for the same names share a context, so that OpenSSL picks ECDSA or RSA by what the client can do.
    std::vector<std::pair<const Credential*, SSL_CTX*>> placed;
    for (const Credential& credential : credentials) {
      const auto sibling = std::find_if(placed.begin(), placed.end(), [&credential](const auto& other) {
        return other.first->info.names == credential.info.names &&
               EVP_PKEY_get_base_id(other.first->key.get()) != EVP_PKEY_get_base_id(credential.key.get());
      });
      SSL_CTX* target = sibling != placed.end() ? sibling->second : nullptr;
      if (target == nullptr) {
        auto fresh = impl.make_context(options);
        if (!fresh.ok()) return fresh.status();
        target = fresh->get();
        if (impl.first == nullptr) {
          impl.first = std::move(*fresh);
        } else {
          impl.others.push_back(std::move(*fresh));
        }
      }
      if (const absl::Status used = use(target, credential); !used.ok()) return used;
      placed.emplace_back(&credential, target);
      impl.claim(credential, target);
      impl.certificates.push_back(credential.info);
    }
    made.push_back(std::move(context));
  }
  return made;
}

// --- clients
// -----------------------------------------------------------------------------------------------------------------------

struct ClientContext::Impl {
  Owned<SSL_CTX> context;
};

ClientContext::ClientContext() : impl_(std::make_unique<Impl>()) {}
ClientContext::~ClientContext() = default;
SSL_CTX* ClientContext::get() const { return impl_->context.get(); }

absl::StatusOr<std::vector<std::shared_ptr<ClientContext>>> ClientContext::make(const ClientOptions& options,
                                                                                std::size_t shards) {
  std::vector<std::shared_ptr<ClientContext>> made;
  for (std::size_t shard = 0; shard < shards; ++shard) {
    std::shared_ptr<ClientContext> client(new ClientContext);
    client->impl_->context.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* context = client->impl_->context.get();
    set_common(context);
    SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    const bool trusted = options.ca_file.empty()
                             ? SSL_CTX_set_default_verify_paths(context) == 1
                             : SSL_CTX_load_verify_locations(context, options.ca_file.c_str(), nullptr) == 1;
    ERR_clear_error();
    if (options.verify && !trusted) return mistake(options.ca_file, "holds no certificate authority in PEM");
    made.push_back(std::move(client));
  }
  return made;
}

}  // namespace router::tls
