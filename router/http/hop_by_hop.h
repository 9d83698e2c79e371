#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "router/http/head.h"

namespace router::http {

/// The hop-by-hop fields of one head (RFC 9110, 7.6.1): Connection and the fields that it lists, Keep-Alive, Proxy-*, TE,
/// Trailer, Transfer-Encoding, Upgrade. The constructor reads the Connection lists once. A lookup then compares hashes only, so
/// a head full of such elements does not make the router compare each field with each element.
class HopByHop {
 public:
  /// Limit for the elements of all Connection fields together: as many as a head usually has fields, since a longer list can
  /// only name fields that are not there. parse_head.cpp refuses it.
  static constexpr std::size_t kElementsMax = Fields::kUsual;

  /// `fields` belong to a parsed head.
  explicit HopByHop(const Fields& fields) {
    if (fields.has(Field::kConnection)) read(fields);
  }
  /// `line` is one of these fields.
  bool contains(const FieldLine& line) const;

 private:
  void read(const Fields& fields);
  void read_list(std::string_view list);
  bool names(std::string_view field) const;

  std::uint64_t lengths_ = 0;  // bit n: an element of n bytes (bit 63: 63 or more); rules most fields out
  std::size_t size_ = 0;
  std::uint64_t hashes_[kElementsMax];  // NOLINT: 1 KB that a usual head does not touch
};

}  // namespace router::http
