#pragma once

#include "router/http/framing.h"
#include "router/stream/body.h"

namespace router::http1 {

/// The framing in which a body of that size is sent (RFC 9112, section 6).
inline http::Framing framing_of(stream::BodySize size) {
  using Kind = http::Framing::Kind;
  switch (size.kind) {
    case stream::BodySize::Kind::kNone: return {Kind::kNone, 0};
    case stream::BodySize::Kind::kLength: return {Kind::kLength, size.length};
    case stream::BodySize::Kind::kUnknown: break;
  }
  return {Kind::kChunked, 0};
}

/// What the framing of a message that is read tells about its body.
inline stream::BodySize size_of(const http::Framing& framing) {
  using Kind = stream::BodySize::Kind;
  switch (framing.kind) {
    case http::Framing::Kind::kNone: return {Kind::kNone, 0};
    case http::Framing::Kind::kLength: return {Kind::kLength, framing.length};
    case http::Framing::Kind::kChunked:
    case http::Framing::Kind::kUntilClose: break;
  }
  return {Kind::kUnknown, 0};
}

}  // namespace router::http1
