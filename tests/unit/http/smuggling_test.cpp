#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "router/http/framing.h"
#include "router/http/head.h"

/// Streams that one parser reads as one request and another parser as two. The router reads them in the one way that RFC 9112
/// allows, or refuses them.
namespace router::http {
namespace {

using namespace std::string_literals;

/// The paths of the requests in a stream, followed by `!` if it was refused, or by `…` if it is incomplete.
std::vector<std::string> read_requests(std::string_view stream) {
  std::vector<std::string> seen;
  while (!stream.empty()) {
    HeadScanner scanner;
    const std::size_t size = scanner.scan(stream);
    if (size == 0) break;
    RequestHead head;
    if (!parse_request(stream.substr(0, size), head)) return seen.push_back("!"), seen;
    const Result<Framing> framing = request_framing(head);
    if (!framing) return seen.push_back("!"), seen;
    seen.emplace_back(head.path);
    stream.remove_prefix(size);
    BodyDecoder body(*framing, Origin::kDownstream);
    while (!body.ended()) {
      const Result<BodyDecoder::Step> step = body.next(stream);
      if (!step) return seen.push_back("!"), seen;
      stream.remove_prefix(step->consumed);
      if (step->consumed == 0) return seen.push_back("…"), seen;
    }
  }
  if (!stream.empty()) seen.push_back("…");
  return seen;
}

using Seen = std::vector<std::string>;
const std::string kSecond = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
std::string post(const std::string& fields, const std::string& body) {
  return "POST /first HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

TEST(Smuggling, ReadsHonestPipelinesToTheirEnd) {
  EXPECT_EQ(read_requests(post("Content-Length: 3\r\n", "abc") + kSecond), (Seen{"/first", "/second"}));
  EXPECT_EQ(read_requests(post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n") + kSecond),
            (Seen{"/first", "/second"}));
  EXPECT_EQ(read_requests(kSecond + kSecond + "GET"), (Seen{"/second", "/second", "…"}));
  EXPECT_EQ(read_requests(post("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n\r\n") + kSecond), (Seen{"/first", "/second"}));
}

TEST(Smuggling, TakesARequestWithinABodyForABody) {
  EXPECT_EQ(read_requests(post("Content-Length: " + std::to_string(kSecond.size()) + "\r\n", kSecond)), (Seen{"/first"}));
  EXPECT_EQ(read_requests(post("Transfer-Encoding: chunked\r\n", "21\r\n" + kSecond + "\r\n0\r\n\r\n")), (Seen{"/first"}))
      << kSecond.size();
}

TEST(Smuggling, RefusesLengthAgainstCoding) {
  EXPECT_EQ(read_requests(post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG")), Seen{"!"}) << "CL.TE";
  EXPECT_EQ(read_requests(post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\n" + kSecond)), Seen{"!"})
      << "TE.CL";
  EXPECT_EQ(read_requests(post("Content-Length: 0\r\nContent-Length: 33\r\n", kSecond)), Seen{"!"}) << "CL.CL";
  EXPECT_EQ(read_requests(post("Content-Length: 33, 0\r\n", kSecond)), Seen{"!"});
}

TEST(Smuggling, RefusesEveryDisguiseOfTheCoding) {
  const std::string disguises[] = {"Transfer-Encoding: xchunked",
                                   "Transfer-Encoding : chunked",
                                   "Transfer-Encoding\t: chunked",
                                   " Transfer-Encoding: chunked",
                                   "X: y\r\n Transfer-Encoding: chunked",
                                   "X: y\n"
                                   "Transfer-Encoding: chunked",
                                   "X: y\rTransfer-Encoding: chunked",
                                   "Transfer-Encoding\r\n: chunked",
                                   "Transfer-Encoding:\r\n chunked",
                                   "Transfer-Encoding:\n chunked",
                                   "Transfer-Encoding: chunked\r\nTransfer-encoding: identity",
                                   "Transfer-Encoding: identity\r\nTransfer-encoding: chunked",
                                   "Transfer-Encoding: chunked\r\nTransfer-encoding: cow",
                                   "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
                                   "Transfer-Encoding: chunked, identity",
                                   "Transfer-Encoding: \x0b"
                                   "chunked",
                                   "Transfer-Encoding:\x0b"
                                   "chunked",
                                   "Transfer-Encoding: chunked\x0c",
                                   "Transfer-Encoding: chunked\r",
                                   "Transfer-Encoding: chunked\0"s,
                                   "Transfer-Encoding: \0chunked"s,
                                   "Transfer-Encoding: \"chunked\"",
                                   "Transfer-Encoding: chunked;",
                                   "Transfer-Encoding: chunked;x=y",
                                   "Transfer-Encoding: ,chunked",
                                   "Transfer-Encoding: chunked,",
                                   "Transfer-Encoding: chunk ed",
                                   "Transfer-Encoding: \xe2\x80\x8b"
                                   "chunked",
                                   "Transfer-Encoding: \xa0"
                                   "chunked",
                                   "Transfer-Encoding\xa0: chunked",
                                   "Transfer\x7f-Encoding: chunked",
                                   "\x0bTransfer-Encoding: chunked",
                                   "\x00Transfer-Encoding: chunked"s,
                                   "Transfer-Encoding chunked"};
  for (const std::string& disguise : disguises) {
    EXPECT_EQ(read_requests(post(disguise + "\r\n", "0\r\n\r\n" + kSecond)), Seen{"!"}) << disguise;
    EXPECT_EQ(read_requests(post("Content-Length: 4\r\n" + disguise + "\r\n", "0\r\n\r\n" + kSecond)), Seen{"!"}) << disguise;
    EXPECT_EQ(read_requests(post(disguise + "\r\nContent-Length: 4\r\n", "0\r\n\r\n" + kSecond)), Seen{"!"}) << disguise;
  }
}

TEST(Smuggling, ReadsAnotherNameAsAnotherField) {
  for (const std::string field :
       {"Transfer_Encoding: chunked", "X-Transfer-Encoding: chunked", "Content_Length: 0", "TransferEncoding: chunked"}) {
    EXPECT_EQ(read_requests(post("Content-Length: 3\r\n" + field + "\r\n", "abc") + kSecond), (Seen{"/first", "/second"}))
        << field;
  }
}

TEST(Smuggling, RefusesTricksWithChunkSizes) {
  const std::string bodies[] = {"0x0\r\n\r\n",
                                "3\nabc\r\n0\r\n\r\n",
                                "3\r\nabc\n0\r\n\r\n",
                                "3\r\nabcX\r\n0\r\n\r\n",
                                "3;a\nb\r\nabc\r\n0\r\n\r\n",
                                "3\r\nabc\r\n\r\n0\r\n\r\n",
                                "3 \r\nabc\r\n0\r\n\r\n",
                                "03 ;\r\nabc\r\n0\r\n\r\n",
                                "3\r\nabc\r\n0\n\r\n",
                                "3\r\nabc\r\n0\r\n\n",
                                "-0\r\n\r\n",
                                "10000000000000003\r\nabc\r\n0\r\n\r\n",
                                "3\r\nabc\r\n0\r\nGET /x HTTP/1.1\r\n\r\n",
                                "3\r\nabc\r\n0\r\nX: y\n\r\n"};
  for (const std::string& body : bodies) {
    EXPECT_EQ(read_requests(post("Transfer-Encoding: chunked\r\n", body + kSecond)), (Seen{"/first", "!"})) << body;
  }
}

TEST(Smuggling, GetsAreFramedLikeEveryOtherMethod) {
  EXPECT_EQ(read_requests("GET /first HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n" + kSecond), (Seen{"/first"}));
  EXPECT_EQ(read_requests("GET /first HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + kSecond), Seen{"!"});
}

}  // namespace
}  // namespace router::http
