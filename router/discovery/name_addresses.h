#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/runtime/address.h"

namespace router::discovery {

/// Whether `host`, with or without a dot at its end, is `localhost` or a name below it: no resolver is to be asked for these
/// (RFC 6761, 6.3).
bool is_localhost(std::string_view host);

/// Where `host` is without a look-up: an address itself, or the loopback addresses of a `localhost`. Empty: a name to look up.
std::vector<runtime::Address> known_addresses(const std::string& host, std::uint16_t port);

/// Which addresses of one name are replicas: all that look-ups have told, of one family, or the first of these. IPv4 if there
/// is any; the other family only while no address of that one accepts connections and one of the other does.
/// Knows no clock and no socket: it is told what look-ups and probes have come to. Control thread.
class NameAddresses {
 public:
  static constexpr std::size_t kMax = 64;       // of each family; further ones are left out
  static constexpr std::size_t kMissedMax = 2;  // so many look-ups in a row without it, and an address is dropped
  enum class Use { kAll, kFirst };

  void use(Use use) { use_ = use; }
  bool empty() const { return known_.empty(); }
  /// What a look-up that succeeded has told, in its order. What was known keeps its place. An IPv4 address in IPv6 form is
  /// the IPv4 address: the same pod, with the same slots. Whether there were too many.
  bool looked_up(const std::vector<runtime::Address>& told);
  /// A probe of an address that is in use has met a replica or has not (`connected`), and the other family accepts connections
  /// (`other_connects`). True: from now on that family is in use.
  bool probed(const runtime::Address& address, bool connected, bool other_connects);

  std::vector<runtime::Address> in_use() const;
  /// An address of the family that is not in use, for a probe to try instead of the `index`-th that is; nothing if there is
  /// none.
  std::optional<runtime::Address> other(std::size_t index) const;
  /// The family in use is the second choice.
  bool second_choice() const { return second_choice_; }

 private:
  struct Known {
    runtime::Address address;
    std::size_t missed = 0;    // look-ups in a row
    bool unreachable = false;  // as the last probe has it
  };
  bool has(int family) const;
  int family_in_use() const;
  std::vector<runtime::Address> of_family(int family) const;

  std::vector<Known> known_;  // of both families
  Use use_ = Use::kAll;
  bool second_choice_ = false;
};

}  // namespace router::discovery
