#pragma once

#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "tls/psk.h"

namespace bench {

[[noreturn]] inline void give_up(const std::string& what) {
  std::fprintf(stderr, "bench_client: %s\n", what.c_str());
  std::exit(1);
}

/// The latest ticket that a server sent.
inline SSL_SESSION*& latest_session() {
  static SSL_SESSION* session = nullptr;
  return session;
}
/// Keeps a copy, since OpenSSL makes a session unusable when its connection ends without close_notify.
inline int keep_session(SSL* /*ssl*/, SSL_SESSION* session) {
  if (latest_session() != nullptr) SSL_SESSION_free(latest_session());
  latest_session() = SSL_SESSION_dup(session);
  return 0;  // OpenSSL keeps the original
}

/// TLS 1.3 with one cipher, so that all proxies do the same work. The certificate is not checked, the handshake's signature is.
inline SSL_CTX* make_context() {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384");
  SSL_CTX_set1_groups_list(context, "X25519");
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  return context;
}

/// TLS between routers of a fleet, with the first key of the environment.
class MemberContext {
 public:
  MemberContext() {
    const char* text = std::getenv("BENCH_FLEET_KEY");
    const auto keys = router::tls::PskKeys::parse(text != nullptr ? text : "", "BENCH_FLEET_KEY");
    if (!keys.ok()) give_up(keys.status().ToString());
    auto made = router::tls::PskClientContext::make(*keys, router::tls::PskPurpose::kRequests, 1);
    if (!made.ok()) give_up(made.status().ToString());
    made_ = std::move(made->front());
    SSL_CTX_set_mode(made_->get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }
  SSL_CTX* get() const { return made_->get(); }

 private:
  std::shared_ptr<router::tls::PskClientContext> made_;
};

}  // namespace bench
