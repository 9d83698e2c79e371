#pragma once

#include <string>
#include <string_view>

#include "router/http/head.h"

namespace router::http {

/// An installation's name in the Via of the requests that it forwards (RFC 9110, 7.6.3; contract, section 3). It detects a
/// request that has come back. Immutable; shared by all shards.
class Via {
 public:
  Via() = default;  // disabled: adds nothing, finds nothing
  /// `name` is a token, the same for all routers of an installation.
  explicit Via(const std::string& name) : name_(name), of_1_0_("1.0 " + name), of_1_1_("1.1 " + name) {}

  /// The member that is appended to the Via of a request that arrived as HTTP/1.`minor_version`; empty: nothing.
  std::string_view member(int minor_version) const { return minor_version == 0 ? of_1_0_ : of_1_1_; }
  /// Whether one of the request's members has this name.
  bool is_in(const Fields& fields) const;

 private:
  bool is_in(std::string_view list) const;

  std::string name_;
  std::string of_1_0_;
  std::string of_1_1_;
};

}  // namespace router::http
