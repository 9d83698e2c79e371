#include "router/http/hop_by_hop.h"

#include <algorithm>

#include "router/base/assert.h"
#include "router/http/characters.h"

namespace router::http {
namespace {

/// FNV-1a, ignoring case. Equal hashes count as equal names. A sender that makes two names collide gains nothing: it could have
/// listed the field itself.
std::uint64_t hash_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(to_lower(c))) * 0x100000001b3;
  return hash;
}

std::uint64_t length_bit(std::string_view name) { return std::uint64_t{1} << std::min<std::size_t>(name.size(), 63); }

}  // namespace

void HopByHop::read(const Fields& fields) {
  for (const FieldLine& line : fields) {
    if (line.id == Field::kConnection) read_list(line.value);
  }
}

void HopByHop::read_list(std::string_view list) {
  for (;;) {
    const std::size_t comma = list.find(',');
    const std::string_view element = trim(list.substr(0, comma));
    ROUTER_ASSERT(size_ < kElementsMax);  // the parser has checked their number
    if (size_ == kElementsMax) return;
    hashes_[size_++] = hash_of(element);
    lengths_ |= length_bit(element);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

bool HopByHop::names(std::string_view field) const {
  if ((lengths_ & length_bit(field)) == 0) return false;
  return std::find(hashes_, hashes_ + size_, hash_of(field)) != hashes_ + size_;
}

bool HopByHop::contains(const FieldLine& line) const {
  switch (line.id) {
    case Field::kConnection:
    case Field::kKeepAlive:
    case Field::kProxyAuthenticate:
    case Field::kProxyAuthorization:
    case Field::kProxyConnection:
    case Field::kTe:
    case Field::kTrailer:
    case Field::kTransferEncoding:
    case Field::kUpgrade: return true;
    default: return lengths_ != 0 && names(line.name);
  }
}

}  // namespace router::http
