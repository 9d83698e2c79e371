#pragma once

#include <array>
#include <string_view>

namespace router {

/// Text of a UUID: 36 characters, lower case.
using UuidText = std::array<char, 36>;

/// A new random UUID (RFC 9562, version 4). Draws from OpenSSL's generator in blocks, so that most calls make no system call.
UuidText new_uuid();

/// Whether `text` is a UUID of any version, in upper or lower case. As in Azure ML, the router keeps an `x-request-id` of that
/// form.
bool is_uuid(std::string_view text);

inline std::string_view view_of(const UuidText& text) { return {text.data(), text.size()}; }

}  // namespace router
