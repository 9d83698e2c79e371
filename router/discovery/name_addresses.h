#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/runtime/address.h"

namespace router::discovery {

/// Whether `host`, with or without a dot at its end, is `localhost` or a name below it. Such names must not be sent to a
/// resolver (RFC 6761, section 6.3).
bool is_localhost(std::string_view host);

/// The addresses of `host` that need no look-up: `host` itself if it is an address, or the loopback addresses of a `localhost`.
/// Empty for other names.
std::vector<runtime::Address> known_addresses(const std::string& host, std::uint16_t port);

/// Selects the addresses of one name that are used as replicas: all addresses of one family that look-ups have found, or the
/// first of them. The family is IPv4 if the name has IPv4 addresses. It changes to the other family when no address in use
/// accepts connections and one of the other family does.
/// Uses no clock and no socket: the caller passes in the results of look-ups and probes. Control thread.
class NameAddresses {
 public:
  static constexpr std::size_t kMax = 64;       // of each family; further addresses are ignored
  static constexpr std::size_t kMissedMax = 2;  // an address is dropped after so many look-ups in a row without it
  enum class Use { kAll, kFirst };

  void use(Use use) { use_ = use; }
  bool empty() const { return known_.empty(); }
  /// Takes the result of a successful look-up, in its order. Known addresses keep their positions. An IPv4 address in IPv6 form
  /// counts as the IPv4 address, because it is the same pod with the same slots. Returns true if there were too many addresses.
  bool looked_up(const std::vector<runtime::Address>& told);
  /// Takes the result of a probe of an address in use: whether the address accepted a connection (`connected`), and whether one
  /// of the other family did (`other_connects`). Returns true if the other family is in use from now on.
  bool probed(const runtime::Address& address, bool connected, bool other_connects);

  std::vector<runtime::Address> in_use() const;
  /// An address of the family that is not in use, which a probe tries instead of the `index`-th address in use; nothing if
  /// there is none.
  std::optional<runtime::Address> other(std::size_t index) const;
  /// Whether the family in use is the second choice.
  bool second_choice() const { return second_choice_; }

 private:
  struct Known {
    runtime::Address address;
    std::size_t missed = 0;    // look-ups in a row
    bool unreachable = false;  // in the last probe
  };
  bool has(int family) const;
  int family_in_use() const;
  std::vector<runtime::Address> of_family(int family) const;

  std::vector<Known> known_;  // of both families
  Use use_ = Use::kAll;
  bool second_choice_ = false;
};

}  // namespace router::discovery
