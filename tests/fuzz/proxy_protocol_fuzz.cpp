#include "router/proxy/proxy_protocol.h"
#include "tests/fuzz/support.h"

/// The PROXY protocol's header, as it arrives byte by byte. What is decided once (a header of so many bytes, or none at all)
/// must stay decided, whatever follows it.
namespace {

using router::Result;
using router::fuzz::require;
using router::proxy::parse_proxy_header;
using router::proxy::ProxyHeader;

constexpr std::size_t kHeaderMax = 536;

bool same(const Result<ProxyHeader>& a, const Result<ProxyHeader>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->bytes == b->bytes && a->client == b->client;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = router::fuzz::text_of(data, size);
  const Result<ProxyHeader> whole = parse_proxy_header(input);
  for (std::size_t arrived = 1; arrived <= input.size(); ++arrived) {
    const Result<ProxyHeader> header = parse_proxy_header(input.substr(0, arrived));
    if (!header) {
      require(header.error().reason == router::Reason::kBadRequest);
    } else if (header->bytes == 0) {
      require(arrived < kHeaderMax);  // nobody may be kept waiting for more than the longest header
      continue;
    } else {
      require(header->bytes == arrived);
      if (header->client) require(!header->client->text().empty());
    }
    require(same(header, whole));
    return 0;
  }
  require(whole && whole->bytes == 0);
  return 0;
}
