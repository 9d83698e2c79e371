#include "tls/hello_buffer.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

namespace router::tls {
namespace {

constexpr const char* kNoTls = "the peer does not speak TLS";
constexpr const char* kHttp = "the peer speaks plain HTTP";
constexpr std::size_t kRecordHeader = SSL3_RT_HEADER_LENGTH;

std::uint8_t byte_of(std::string_view data, std::size_t at) { return static_cast<std::uint8_t>(data[at]); }

/// Characters of the methods that are in use (VERSION-CONTROL is one). Lower case and digits occur in other protocols
/// (SSH-2.0).
bool is_method(char c) { return (c >= 'A' && c <= 'Z') || c == '-'; }

/// Whether a client sends plain HTTP to a port for TLS, judged by its request line up to the first byte of the target, after
/// empty lines (RFC 9112, sections 2.2 and 3). `PROXY TCP4 …`, `EHLO name` and the like have no such target.
struct PlainHttp {
  enum class Is { kNo, kUnknown, kYes };  // kUnknown: more bytes are needed
  Is is = Is::kUnknown;
  std::string_view method = {};
};

PlainHttp look_for_http(std::string_view bytes) {
  using Is = PlainHttp::Is;
  while (bytes.starts_with("\r\n")) bytes.remove_prefix(2);
  if (bytes == "\r") return {Is::kUnknown};
  const auto end = std::find_if_not(bytes.begin(), bytes.end(), is_method);
  if (end == bytes.end()) return {Is::kUnknown};
  if (end == bytes.begin() || *end != ' ') return {Is::kNo};
  if (end + 1 == bytes.end()) return {Is::kUnknown};
  const std::string_view method(bytes.begin(), end);
  const bool is_target = std::string_view("/*hH").find(end[1]) != std::string_view::npos;  // hH: absolute-form
  return {is_target || method == "CONNECT" ? Is::kYes : Is::kNo, method};
}

std::size_t copy(std::string_view from, std::span<char> into) {
  const std::size_t size = std::min(from.size(), into.size());
  if (size > 0) std::memcpy(into.data(), from.data(), size);
  return size;
}

}  // namespace

void HelloBuffer::Header::add(std::string_view data) {
  for (std::size_t at = 0; at < data.size() && size < bytes.size(); ++at) bytes[size++] = byte_of(data, at);
}

std::size_t HelloBuffer::Header::message() const {
  return bytes.size() + (std::size_t{bytes[1]} << 16) + (std::size_t{bytes[2]} << 8) + bytes[3];
}

HelloBuffer::State HelloBuffer::append(std::span<const char> bytes) {
  bytes_.append(bytes.data(), bytes.size());
  look();
  return state_;
}

void HelloBuffer::expect_another() noexcept {
  bytes_.erase(0, taken_);
  taken_ = whole_ = record_ = gathered_ = 0;
  header_ = {};
  another_ = true;
  state_ = State::kPartial;
  look();
}

std::size_t HelloBuffer::take(std::span<char> into) noexcept {
  const std::size_t size = copy(std::string_view(bytes_).substr(taken_, whole_ - taken_), into);
  taken_ += size;
  return size;
}

std::size_t HelloBuffer::take_rest(std::span<char> into) noexcept {
  whole_ = bytes_.size();
  return take(into);
}

/// Checks each record when it is complete, and the beginning of the last one.
void HelloBuffer::look() noexcept {
  while (state_ == State::kPartial) {
    const std::string_view rest = std::string_view(bytes_).substr(record_);
    // The first byte tells a handshake record from anything else.
    const bool is_handshake = !rest.empty() && byte_of(rest, 0) == SSL3_RT_HANDSHAKE;
    const bool may_be_another = another_ && gathered_ == 0;
    if (!rest.empty() && !is_handshake && !may_be_another) return look_at_stranger(rest);
    if (rest.size() < kRecordHeader) break;
    if (byte_of(rest, 1) != SSL3_VERSION_MAJOR) return refuse(SSL_AD_PROTOCOL_VERSION, kNoTls);
    const std::size_t length = (std::size_t{byte_of(rest, 3)} << 8) + byte_of(rest, 4);
    const std::size_t length_max = is_handshake ? SSL3_RT_MAX_PLAIN_LENGTH : SSL3_RT_MAX_ENCRYPTED_LENGTH;
    if (length == 0 || length > length_max) return refuse(SSL_AD_RECORD_OVERFLOW, "a TLS record's size is not allowed");
    const std::string_view fragment = rest.substr(kRecordHeader, length);
    if (is_handshake) look_at_hello(fragment, length);
    if (state_ == State::kRefused || fragment.size() < length) break;
    record_ += kRecordHeader + length;
    if (is_handshake && gathered_ < header_.message()) continue;
    whole_ = record_;
    state_ = State::kWhole;
  }
  if (state_ == State::kPartial && bytes_.size() >= kBytesMax) refuse(SSL_AD_DECODE_ERROR, "the ClientHello is too large");
}

void HelloBuffer::look_at_stranger(std::string_view bytes) noexcept {
  const bool is_first = !another_ && record_ == 0;
  const PlainHttp found = is_first ? look_for_http(bytes.substr(0, kHttpMax)) : PlainHttp{PlainHttp::Is::kNo};
  if (found.is == PlainHttp::Is::kUnknown && bytes.size() < kHttpMax) return;
  is_http_ = found.is == PlainHttp::Is::kYes;
  is_head_ = is_http_ && found.method == "HEAD";
  refuse(SSL_AD_UNEXPECTED_MESSAGE, is_http_ ? kHttp : kNoTls);
}

/// `fragment` is the part of a record of `length` bytes that has arrived.
void HelloBuffer::look_at_hello(std::string_view fragment, std::size_t length) noexcept {
  Header header = header_;
  header.add(fragment);
  if (header.size > 0 && header.bytes[0] != SSL3_MT_CLIENT_HELLO) {
    return refuse(SSL_AD_UNEXPECTED_MESSAGE, "the peer's first message is no ClientHello");
  }
  if (header.size == header.bytes.size()) {
    if (header.message() > header.bytes.size() + kMessageMax) {
      return refuse(SSL_AD_ILLEGAL_PARAMETER, "the ClientHello is too large");
    }
    // The server's answer may change the keys, and no record may hold messages from before and after that (RFC 8446, section
    // 5.1).
    if (gathered_ + length > header.message()) {
      return refuse(SSL_AD_UNEXPECTED_MESSAGE, "a message behind the ClientHello in one record");
    }
  }
  if (fragment.size() < length) return;
  header_ = header;
  gathered_ += length;
}

void HelloBuffer::refuse(std::uint8_t alert, const char* cause) noexcept {
  state_ = State::kRefused;
  alert_ = alert;
  cause_ = cause;
}

}  // namespace router::tls
