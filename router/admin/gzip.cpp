#include "router/admin/gzip.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_split.h>

#include <array>
#include <new>

#include "router/base/assert.h"
#include "router/base/text.h"

namespace router::admin {
namespace {

/// `0`, `0.`, `0.0` and so on: the client refuses the coding.
bool is_zero(std::string_view weight) { return weight.starts_with('0') && weight.find_first_not_of("0.") == weight.npos; }

bool is_wanted(absl::string_view parameters) {
  for (const absl::string_view parameter : absl::StrSplit(parameters, ';')) {
    const absl::string_view bare = absl::StripAsciiWhitespace(parameter);
    const std::string_view text{bare.data(), bare.size()};
    if (starts_with_ignoring_case(text, "q=") && is_zero(text.substr(2))) return false;
  }
  return true;
}

constexpr int kLevel = 1;
constexpr int kWindowBits = 15 + 16;  // the largest window, with gzip's header and trailer
constexpr int kMemoryLevel = 8;

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) {
  for (const absl::string_view each : absl::StrSplit(to_absl(accept_encoding), ',')) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(each, absl::MaxSplits(';', 1));
    const absl::string_view coding = absl::StripAsciiWhitespace(parts.first);
    const std::string_view name{coding.data(), coding.size()};
    if (equals_ignoring_case(name, "gzip") || equals_ignoring_case(name, "x-gzip")) return is_wanted(parts.second);
  }
  return false;
}

Gzip::Gzip() {
  if (::deflateInit2(&stream_, kLevel, Z_DEFLATED, kWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
}

Gzip::~Gzip() { ::deflateEnd(&stream_); }

void Gzip::add(std::string_view text, bool last, std::string& out) {
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // zlib does not write there
  stream_.avail_in = static_cast<uInt>(text.size());
  std::array<char, 16384> piece;
  do {
    stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream_.avail_out = piece.size();
    const int result = ::deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
    ROUTER_ASSERT(result != Z_STREAM_ERROR);
    out.append(piece.data(), piece.size() - stream_.avail_out);
  } while (stream_.avail_out == 0);
}

}  // namespace router::admin
