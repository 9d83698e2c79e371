#include "tls/hello_buffer.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

namespace router::tls {
namespace {

constexpr const char* kNoTls = "the peer does not speak TLS";
constexpr const char* kHttp = "the peer speaks plain HTTP";
constexpr std::string_view kMethods[] = {"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS "};  // those served
constexpr std::size_t kRecordHeader = SSL3_RT_HEADER_LENGTH;

std::uint8_t byte_of(std::string_view data, std::size_t at) { return static_cast<std::uint8_t>(data[at]); }

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

/// Looks at each record once it is whole, and at the beginning of the last one.
void HelloBuffer::look() noexcept {
  while (state_ == State::kPartial) {
    const std::string_view rest = std::string_view(bytes_).substr(record_);
    // Anything but a record of the handshake's kind is told by its first byte.
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
  for (const std::string_view method : kMethods) {
    if (!is_first || bytes.substr(0, method.size()) != method.substr(0, bytes.size())) continue;
    if (bytes.size() < method.size()) return;  // the rest of the method is on its way
    is_http_ = true;
    return refuse(SSL_AD_UNEXPECTED_MESSAGE, kHttp);
  }
  refuse(SSL_AD_UNEXPECTED_MESSAGE, kNoTls);
}

/// `fragment` is what has come of a record of `length` bytes.
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
    // The answer may change the keys, and no record may hold messages of before and after (RFC 8446, section 5.1).
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
