#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "router/http/head.h"

namespace router::http {

/// Which fields of one head stay on their own hop (RFC 9110, 7.6.1): Connection and those that it names, Keep-Alive, Proxy-*,
/// TE, Trailer, Transfer-Encoding, Upgrade. The Connection lists are read once, here, and each field then costs the look at its
/// name: who fills a head with them must not make the router compare each field with each element.
class HopByHop {
 public:
  /// Elements of all Connection fields together: as many as a head usually has fields, so that a longer list only names
  /// what is not there. parse_head.cpp refuses it.
  static constexpr std::size_t kElementsMax = Fields::kUsual;

  /// `fields` are those of a head that was parsed.
  explicit HopByHop(const Fields& fields) {
    if (fields.has(Field::kConnection)) read(fields);
  }
  /// `line` is one of those.
  bool contains(const FieldLine& line) const;

 private:
  void read(const Fields& fields);
  void read_list(std::string_view list);
  bool names(std::string_view field) const;

  std::uint64_t lengths_ = 0;  // bit n: an element of n bytes; the highest: one of 63 or more. Most fields are told apart by it
  std::size_t size_ = 0;
  std::uint64_t hashes_[kElementsMax];  // NOLINT: 1 KB that an ordinary head does not touch
};

}  // namespace router::http
