#include "router/admin/gzip.h"

#include <gtest/gtest.h>

namespace router::admin {
namespace {

std::string unpacked(const std::string& packed) {
  z_stream stream{};
  EXPECT_EQ(::inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  text.resize(10'000'000);
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(::inflate(&stream, Z_FINISH), Z_STREAM_END);
  text.resize(stream.total_out);
  ::inflateEnd(&stream);
  return text;
}

TEST(AcceptsGzip, AsPrometheusAndOthersSayIt) {
  for (const char* yes :
       {"gzip", "GZIP", "x-gzip", "deflate, gzip", "gzip;q=1.0, identity", "identity, gzip; q=0.001", "br,gzip,"})
    EXPECT_TRUE(accepts_gzip(yes)) << yes;
  for (const char* no : {"", "identity", "gzip;q=0", "gzip; q=0.000", "gzip;Q=0.", "deflate", "gzipped", "*", ",;,"})
    EXPECT_FALSE(accepts_gzip(no)) << no;
}

TEST(Gzip, GivesBackWhatWasPutInPieceByPiece) {
  Gzip gzip;
  std::string whole, packed;
  for (int i = 0; i < 2000; ++i) {
    const std::string piece = "inference_router_requests_total{deployment=\"v" + std::to_string(i) + "\"} 1\n";
    whole += piece;
    gzip.add(piece, false, packed);
  }
  gzip.add({}, true, packed);
  EXPECT_LT(packed.size() * 5, whole.size());
  EXPECT_EQ(unpacked(packed), whole);
}

TEST(Gzip, TakesNothingAndMoreThanItsBuffer) {
  std::string packed;
  Gzip().add({}, true, packed);
  EXPECT_EQ(unpacked(packed), "");
  std::string odd;
  for (std::uint32_t i = 0; i < 1'000'000; ++i) odd.push_back(static_cast<char>((i * 2654435761U) >> 24));
  packed.clear();
  Gzip().add(odd, true, packed);
  EXPECT_EQ(unpacked(packed), odd);
}

}  // namespace
}  // namespace router::admin
