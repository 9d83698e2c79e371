#include "tls/cause.h"

#include <openssl/x509_vfy.h>

namespace router::tls {
namespace {

const char* cause_of_refusal(long verification) {
  switch (verification) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "the peer's certificate is for another name";
    case X509_V_ERR_CERT_HAS_EXPIRED: return "the peer's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "the peer's certificate is not valid yet";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return "the peer's certificate is from an unknown authority";
    default: return "the peer's certificate could not be verified";
  }
}

}  // namespace

const char* cause_of_failure(const SSL* ssl, bool shaken) {
  const unsigned long error = ERR_peek_error();
  if (error == 0 || ERR_GET_LIB(error) != ERR_LIB_SSL) return "the TLS connection broke";
  switch (ERR_GET_REASON(error)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return cause_of_refusal(SSL_get_verify_result(ssl));
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return shaken ? "the peer closed without close_notify" : "the peer closed during the TLS handshake";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER: return "the peer does not speak TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return "no TLS version in common with the peer";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE: return "no TLS cipher in common with the peer";
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: return "no ALPN protocol in common with the peer";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN: return "the peer does not accept our certificate";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return "the peer asks for a client certificate";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_SSLV3_ALERT_BAD_RECORD_MAC: return "a TLS record was damaged";
    default: return "the TLS connection failed";
  }
}

}  // namespace router::tls
