#include <absl/strings/str_cat.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <map>
#include <unordered_map>

#include "router/base/text.h"
#include "tls/certificate_choice.h"
#include "tls/context.h"
#include "tls/credential.h"
#include "tls/settings.h"
#include "tls/ticket_keys.h"

namespace router::tls {
namespace {

// A session may be resumed only within the same session context (RFC 5246, F.1.4); all our contexts share one.
constexpr unsigned char kSessionContext[] = "inference-router";

/// The context for one selection of certificates, from a time on.
struct TimedContext {
  std::chrono::sys_seconds from;
  SSL_CTX* context = nullptr;
  bool valid = false;
};
/// The contexts for one name in the order of time; the first has no beginning.
using Timeline = std::vector<TimedContext>;
using TimelinesByName = std::unordered_map<std::string, Timeline, TextHash, std::equal_to<>>;

const TimedContext& at(const Timeline& timeline, std::chrono::sys_seconds now) {
  std::size_t last = timeline.size() - 1;  // a few at most, and usually one
  while (last > 0 && timeline[last].from > now) --last;
  return timeline[last];
}

std::vector<Candidate> candidates_for(const std::vector<SharedCredential>& credentials, const std::string& name) {
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < credentials.size(); ++i) {
    const Credential& each = *credentials[i];
    if (each.bears(name)) candidates.push_back({i, each.key_type(), each.info.not_before, each.info.not_after});
  }
  return candidates;
}

/// For a client that sends no name: the certificates with the first name of the first certificate; only the first certificate
/// if it has no name.
std::vector<Candidate> candidates_for_no_name(const std::vector<SharedCredential>& credentials) {
  const Credential& first = *credentials.front();
  if (!first.info.names.empty()) return candidates_for(credentials, first.info.names.front());
  return {{0, first.key_type(), first.info.not_before, first.info.not_after}};
}

absl::Status use(SSL_CTX* context, const Credential& credential) {
  STACK_OF(X509)* rest = sk_X509_new_null();
  for (std::size_t i = 1; i < credential.chain.size(); ++i) sk_X509_push(rest, credential.chain[i].get());
  // Each shard signs with its own copy of the key, because OpenSSL locks a key during its use. A key that cannot be copied is
  // shared.
  const Owned<EVP_PKEY> copy(EVP_PKEY_dup(credential.key.get()));
  ERR_clear_error();
  EVP_PKEY* key = copy ? copy.get() : credential.key.get();
  const bool used = SSL_CTX_use_cert_and_key(context, credential.chain.front().get(), key, rest, 1) == 1;
  sk_X509_free(rest);
  const char* why = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  if (used) return absl::OkStatus();
  return mistake(credential.info.file, absl::StrCat("the certificate cannot be used: ", why != nullptr ? why : "unknown type"));
}

/// Whether OpenSSL accepts the certificate: for example, its key may be too short.
absl::Status try_out(const Credential& credential) {
  const Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
  if (!context) return absl::InternalError("OpenSSL cannot make a context");
  apply_settings(context.get());
  return use(context.get(), credential);
}

/// Refuses a client that offers only protocols that we do not support (RFC 7301, section 3.2), as nginx does.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void* ours) noexcept {
  const auto& list = *static_cast<const std::string*>(ours);
  unsigned char* found = nullptr;
  const int result = SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(list.data()),
                                           static_cast<unsigned>(list.size()), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

int impl_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

}  // namespace

struct ServerContext::Impl {
  std::vector<Owned<SSL_CTX>> contexts;  // one for each selection of certificates
  SSL_CTX* initial = nullptr;            // of every new connection: the default's at the time of construction
  Timeline fallback;
  TimelinesByName exact;
  TimelinesByName wildcard;  // `.example.org` for `*.example.org`
  WallClock now = wall_clock;
  std::vector<CertificateInfo> certificates;
  std::shared_ptr<TicketKeys> ticket_keys;
  std::string protocols;  // in ALPN's format

  absl::Status fill(const ServerOptions& options, const std::vector<SharedCredential>& credentials);
  absl::StatusOr<SSL_CTX*> add_context(const ServerOptions& options, const std::vector<SharedCredential>& credentials,
                                       const Selection& selection);
  /// The context for `name`, in lower case, at that time; nullptr: no certificate contains the name.
  SSL_CTX* find(std::string_view name, std::chrono::sys_seconds at_time) const;

  // Called by OpenSSL: no exception may pass through its frames.
  static int choose_certificate(SSL* ssl, int*, void* self) noexcept;
  static int protect_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                            int encrypt) noexcept;
};

absl::StatusOr<SSL_CTX*> ServerContext::Impl::add_context(const ServerOptions& options,
                                                          const std::vector<SharedCredential>& credentials,
                                                          const Selection& selection) {
  Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
  if (!context) return absl::InternalError("OpenSSL cannot make a context");
  apply_settings(context.get());
  if (options.tls13_only) SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_num_tickets(context.get(), 1);  // OpenSSL's default, two, costs each handshake a ticket that is never used
  SSL_CTX_set_session_id_context(context.get(), kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_ex_data(context.get(), impl_index(), this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context.get(), protect_ticket);
  SSL_CTX_set_tlsext_servername_callback(context.get(), choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(context.get(), this);
  if (!protocols.empty()) SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, &protocols);
  for (const std::size_t index : selection) {
    if (absl::Status used = use(context.get(), *credentials[index]); !used.ok()) return used;
  }
  contexts.push_back(std::move(context));
  return contexts.back().get();
}

absl::Status ServerContext::Impl::fill(const ServerOptions& options, const std::vector<SharedCredential>& credentials) {
  protocols = alpn_list(options.alpn);
  now = options.now;
  std::map<Selection, SSL_CTX*> made;
  const auto context_of = [&](const Selection& selection) -> absl::StatusOr<SSL_CTX*> {
    if (const auto found = made.find(selection); found != made.end()) return found->second;
    auto context = add_context(options, credentials, selection);
    if (context.ok()) made.emplace(selection, *context);
    return context;
  };
  const auto timeline_of = [&](const std::vector<Candidate>& candidates) -> absl::StatusOr<Timeline> {
    Timeline timeline;
    for (const Offer& offer : offers_of(candidates)) {
      const auto context = context_of(offer.selection);
      if (!context.ok()) return context.status();
      timeline.push_back({offer.from, *context, offer.valid});
    }
    return timeline;
  };
  auto of_no_name = timeline_of(candidates_for_no_name(credentials));
  if (!of_no_name.ok()) return of_no_name.status();
  fallback = std::move(*of_no_name);
  initial = at(fallback, now()).context;
  for (const SharedCredential& credential : credentials) {
    certificates.push_back(credential->info);
    for (const std::string& name : credential->info.names) {
      const bool is_wildcard = name.starts_with("*.");
      TimelinesByName& timelines = is_wildcard ? wildcard : exact;
      const std::string key = is_wildcard ? name.substr(1) : name;
      if (timelines.contains(key)) continue;
      auto timeline = timeline_of(candidates_for(credentials, name));
      if (!timeline.ok()) return timeline.status();
      timelines.emplace(key, std::move(*timeline));
    }
  }
  return absl::OkStatus();
}

SSL_CTX* ServerContext::Impl::find(std::string_view name, std::chrono::sys_seconds at_time) const {
  const auto named = exact.find(name);
  const TimedContext* by_name = named != exact.end() ? &at(named->second, at_time) : nullptr;
  if (by_name != nullptr && by_name->valid) return by_name->context;
  const std::size_t dot = name.find('.');  // a wildcard matches one label only (RFC 6125, section 6.4.3)
  const bool may_be_wild = dot != std::string_view::npos && dot != 0;
  const auto wild = may_be_wild ? wildcard.find(name.substr(dot)) : wildcard.end();
  const TimedContext* by_wildcard = wild != wildcard.end() ? &at(wild->second, at_time) : nullptr;
  if (by_wildcard != nullptr && (by_wildcard->valid || by_name == nullptr)) return by_wildcard->context;
  return by_name != nullptr ? by_name->context : nullptr;
}

/// Called in every handshake, also if the client sends no name.
int ServerContext::Impl::choose_certificate(SSL* ssl, int*, void* self) noexcept {
  const Impl& impl = *static_cast<const Impl*>(self);
  const std::chrono::sys_seconds now = impl.now();
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  std::array<char, TLSEXT_MAXLEN_host_name> lower{};  // not on the heap: an exception would pass through OpenSSL's frames
  std::size_t length = name != nullptr ? std::strlen(name) : 0;
  if (length > 0 && name[length - 1] == '.') --length;  // the same name (RFC 6066, section 3, wants it without the dot)
  SSL_CTX* found = nullptr;
  if (length > 0 && length <= lower.size()) {
    std::transform(name, name + length, lower.begin(), to_lower);
    found = impl.find({lower.data(), length}, now);
  }
  SSL_set_SSL_CTX(ssl, found != nullptr ? found : at(impl.fallback, now).context);
  return found != nullptr ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/// Gives OpenSSL the newest key to encrypt a ticket, or the key of a ticket that a client sends. OpenSSL calls this for the
/// context with which the connection began, even if SNI has chosen another since.
int ServerContext::Impl::protect_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                                        EVP_MAC_CTX* mac, int encrypt) noexcept {
  const auto* self = static_cast<const Impl*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), impl_index()));
  if (self == nullptr) return 0;
  const TicketKeys::Impl& keys = *self->ticket_keys->impl_;
  TicketKeys::Keys key;
  bool is_newest = true;
  if (encrypt == 1) {
    key = keys.newest();
    std::memcpy(name, key.name.data(), key.name.size());
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
  } else if (!keys.find(name, key, is_newest)) {
    return 0;  // the ticket is another router's, or too old: a full handshake
  }
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
                             OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  const bool ready = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, encrypt) == 1 &&
                     EVP_MAC_CTX_set_params(mac, parameters) == 1;
  OPENSSL_cleanse(&key, sizeof key);
  if (!ready) return -1;
  // 2 makes OpenSSL send a new ticket: if the key is not the newest, and in TLS 1.3, where clients use each ticket once (RFC
  // 8446, C.4).
  return is_newest && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

ServerContext::ServerContext() : impl_(std::make_unique<Impl>()) {}
ServerContext::~ServerContext() = default;
SSL_CTX* ServerContext::get() const { return impl_->initial; }
const std::vector<CertificateInfo>& ServerContext::certificates() const { return impl_->certificates; }

std::chrono::sys_seconds wall_clock() noexcept { return std::chrono::sys_seconds(std::chrono::seconds(std::time(nullptr))); }

SharedCredential load_credential(const CertificateFiles& files, std::size_t index, std::vector<FileMistake>& mistakes) {
  const std::size_t mistakes_before = mistakes.size();
  std::optional<Credential> read = read_credential(files, mistakes);
  for (std::size_t i = mistakes_before; i < mistakes.size(); ++i) mistakes[i].index = index;
  if (!read) return nullptr;
  if (const absl::Status usable = try_out(*read); !usable.ok()) {
    mistakes.push_back({FileMistake::Role::kCertificate, index, std::string(usable.message())});
    return nullptr;
  }
  return std::make_shared<const Credential>(std::move(*read));
}

const CertificateInfo& info_of(const Credential& credential) { return credential.info; }

absl::StatusOr<std::vector<std::shared_ptr<ServerContext>>> ServerContext::make(
    const ServerOptions& options, const std::vector<SharedCredential>& credentials,
    const std::shared_ptr<TicketKeys>& ticket_keys, std::size_t shards) {
  if (credentials.empty()) return absl::InvalidArgumentError("no certificate is given");
  std::vector<std::shared_ptr<ServerContext>> made;
  for (std::size_t shard = 0; shard < shards; ++shard) {
    std::shared_ptr<ServerContext> context(new ServerContext);
    context->impl_->ticket_keys = ticket_keys;
    if (absl::Status filled = context->impl_->fill(options, credentials); !filled.ok()) return filled;
    made.push_back(std::move(context));
  }
  return made;
}

absl::StatusOr<std::vector<std::shared_ptr<ServerContext>>> ServerContext::make(const ServerOptions& options,
                                                                                const std::shared_ptr<TicketKeys>& ticket_keys,
                                                                                std::size_t shards,
                                                                                std::vector<FileMistake>* mistakes) {
  std::vector<FileMistake> found;
  std::vector<SharedCredential> credentials;
  for (std::size_t index = 0; index < options.certificates.size(); ++index) {
    credentials.push_back(load_credential(options.certificates[index], index, found));
  }
  if (mistakes != nullptr) mistakes->insert(mistakes->end(), found.begin(), found.end());
  if (!found.empty()) return absl::InvalidArgumentError(found.front().text);
  return make(options, credentials, ticket_keys, shards);
}

}  // namespace router::tls
