#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "router/http/head.h"

namespace router::http {
namespace {

using namespace std::string_literals;

/// The reason of a refusal; kNone if the head was accepted.
Reason reason_of(const std::string& bytes) {
  RequestHead head;
  const Result<void> parsed = parse_request(bytes, head);
  if (parsed) return Reason::kNone;
  EXPECT_EQ(parsed.error().origin, Origin::kDownstream);
  EXPECT_STRNE(parsed.error().cause, "");
  return parsed.error().reason;
}
std::string with_line(const std::string& line) { return line + "\r\nHost: a\r\n\r\n"; }
std::string with_field(const std::string& field) { return "POST / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n"; }

TEST(RequestHead, GivesViewsOfTheCallersBytes) {
  const std::string bytes =
      "POST /api/v1/endpoint/a/score?x=1&y=? HTTP/1.1\r\nHost: Models.Example:8443\r\nX-Own:\t two words \t\r\n"
      "authorization: Bearer k\r\nEmpty:\r\nx-own: again\r\n\r\n";
  RequestHead head;
  ASSERT_TRUE(parse_request(bytes, head));
  EXPECT_EQ(head.method, Method::kPost);
  EXPECT_EQ(head.method_text, "POST");
  EXPECT_EQ(head.target, "/api/v1/endpoint/a/score?x=1&y=?");
  EXPECT_EQ(head.path, "/api/v1/endpoint/a/score");
  EXPECT_EQ(head.query, "?x=1&y=?");
  EXPECT_EQ(head.authority, "Models.Example:8443");
  EXPECT_EQ(head.minor_version, 1);
  std::vector<std::pair<std::string, std::string>> fields;
  for (const FieldLine& line : head.fields) {
    fields.emplace_back(line.name, line.value);
    EXPECT_GE(line.name.data(), bytes.data());
    EXPECT_LE(line.value.data() + line.value.size(), bytes.data() + bytes.size());
  }
  const std::vector<std::pair<std::string, std::string>> expected = {{"Host", "Models.Example:8443"},
                                                                     {"X-Own", "two words"},
                                                                     {"authorization", "Bearer k"},
                                                                     {"Empty", ""},
                                                                     {"x-own", "again"}};
  EXPECT_EQ(fields, expected);
  EXPECT_EQ(head.fields.get(Field::kAuthorization), "Bearer k");
  EXPECT_TRUE(head.fields.has(Field::kHost));
  EXPECT_FALSE(head.fields.has(Field::kTe));
}

/// RFC 9110, 5.6.1.2: a list may have empty elements, which have no meaning.
TEST(RequestHead, TookAnEmptyElementOfExpectForAnExpectation) {
  for (const std::string value : {"100-continue,", ",100-continue", " , 100-Continue ,,\t", "100-continue,,100-continue"}) {
    const std::string bytes = with_field("Expect: " + value);
    RequestHead head;
    ASSERT_TRUE(parse_request(bytes, head)) << value;
    EXPECT_TRUE(expects_continue(head)) << value;
  }
  for (const std::string value : {"", ",", ", \t,"}) {
    const std::string bytes = with_field("Expect: " + value);
    RequestHead head;
    ASSERT_TRUE(parse_request(bytes, head)) << value;
    EXPECT_FALSE(expects_continue(head)) << value;
  }
  for (const std::string value : {",fly", "100-continue,fly,", "100-continue 100-continue"}) {
    const std::string bytes = with_field("Expect: " + value);
    RequestHead head;
    EXPECT_EQ(parse_request(bytes, head).error().reason, Reason::kBadExpectation) << value;
  }
}

TEST(RequestHead, MayBeParsedIntoAnObjectThatHeldAnother) {
  RequestHead head;
  ASSERT_TRUE(parse_request("POST http://b/x?y HTTP/1.0\r\nTE: a\r\n\r\n", head));
  ASSERT_TRUE(parse_request("GET /z HTTP/1.1\r\nHost: a\r\n\r\n", head));
  EXPECT_EQ(head.authority, "a");
  EXPECT_EQ(head.query, "");
  EXPECT_EQ(head.fields.size(), 1U);
  EXPECT_FALSE(head.fields.has(Field::kTe));
  EXPECT_EQ(head.minor_version, 1);
}

TEST(RequestHead, KnowsTheMethodsThatMatterInTheirExactCase) {
  const std::pair<const char*, Method> cases[] = {
      {"GET", Method::kGet},   {"HEAD", Method::kHead}, {"POST", Method::kPost},      {"TRACE", Method::kTrace},
      {"PUT", Method::kOther}, {"get", Method::kOther}, {"M-SEARCH", Method::kOther}, {"x!#$%&'*+-.^_`|~", Method::kOther}};
  for (const auto& [text, method] : cases) {
    const std::string bytes = with_line(text + " / HTTP/1.1"s);
    RequestHead head;
    ASSERT_TRUE(parse_request(bytes, head)) << text;
    EXPECT_EQ(head.method, method) << text;
    EXPECT_EQ(head.method_text, text);
  }
}

TEST(RequestHead, FindsEveryFieldTheRouterLooksAtInAnyCase) {
  const std::pair<const char*, Field> names[] = {{"TE", Field::kTe},
                                                 {"hOsT", Field::kHost},
                                                 {"Transfer-encoding", Field::kTransferEncoding},
                                                 {"CONTENT-LENGTH", Field::kContentLength},
                                                 {"x-MS-client-request-id", Field::kXMsClientRequestId},
                                                 {"AzureML-Model-Deployment", Field::kAzuremlModelDeployment},
                                                 {"X-Request-ID", Field::kXRequestId},
                                                 {"x-ms-request-id", Field::kXMsRequestId},
                                                 {"Forwarded", Field::kForwarded},
                                                 {"proxy-authenticate", Field::kProxyAuthenticate},
                                                 {"Proxy-Authorization", Field::kProxyAuthorization},
                                                 {"x-request-deadline-ms", Field::kXRequestDeadlineMs},
                                                 {"x-request-deadline-m", Field::kOther},
                                                 {"hosts", Field::kOther},
                                                 {"t", Field::kOther}};
  for (const auto& [name, id] : names) {
    RequestHead head;
    ASSERT_TRUE(parse_request("GET http://a/ HTTP/1.0\r\n"s + name + ": 5\r\n\r\n", head)) << name;
    EXPECT_EQ(head.fields.begin()->id, id) << name;
  }
}

TEST(RequestHead, TakesTheFormsOfTargetsApart) {
  struct Case {
    const char* line;
    const char* path;
    const char* query;
    const char* authority;
  };
  const Case cases[] = {{"GET / HTTP/1.1", "/", "", "a"},
                        {"GET /? HTTP/1.1", "/", "?", "a"},
                        {"GET //x//y HTTP/1.1", "//x//y", "", "a"},
                        {"GET /a%20b;c=d/:@!$&'()*+,=~ HTTP/1.1", "/a%20b;c=d/:@!$&'()*+,=~", "", "a"},
                        {"GET /x?http://y/ HTTP/1.1", "/x", "?http://y/", "a"},
                        {"GET http://b HTTP/1.1", "/", "", "b"},
                        {"GET http://b:81/x?y HTTP/1.1", "/x", "?y", "b:81"},
                        {"GET HTTPS://B?y HTTP/1.1", "/", "?y", "B"},
                        {"GET http://[::1]:80/ HTTP/1.1", "/", "", "[::1]:80"},
                        {"OPTIONS * HTTP/1.1", "*", "", "a"},
                        {"CONNECT b:443 HTTP/1.1", "b:443", "", "b:443"}};
  for (const Case& each : cases) {
    const std::string bytes = with_line(each.line);
    RequestHead head;
    ASSERT_TRUE(parse_request(bytes, head)) << each.line;
    EXPECT_EQ(head.path, each.path) << each.line;
    EXPECT_EQ(head.query, each.query) << each.line;
    EXPECT_EQ(head.authority, each.authority) << each.line;
  }
}

TEST(RequestHead, RefusesMalformedRequestLines) {
  const std::string lines[] = {"",
                               " ",
                               "GET",
                               "GET /",
                               "GET / ",
                               "GET  / HTTP/1.1",
                               "GET /  HTTP/1.1",
                               "GET / HTTP/1.1 ",
                               " GET / HTTP/1.1",
                               "GET\t/ HTTP/1.1",
                               "GET /\tHTTP/1.1",
                               "GET / x HTTP/1.1",
                               "GET HTTP/1.1",
                               "G(T / HTTP/1.1",
                               "G\xc3\x8bT / HTTP/1.1",
                               "GET: / HTTP/1.1",
                               "GET / http/1.1",
                               "GET / HTTP/1",
                               "GET / HTTP/11",
                               "GET / HTTP/1.10",
                               "GET / HTTP/01.1",
                               "GET / HTTP/1.1\x01",
                               "GET / HTTP/ 1.1",
                               "GET / HTTP/a.1",
                               "GET / ICY/1.1",
                               "GET / HTTP/1,1"};
  for (const std::string& line : lines) EXPECT_EQ(reason_of(with_line(line)), Reason::kBadRequest) << line;
}

TEST(RequestHead, TellsAnotherVersionOfHttpFromGarbage) {
  for (const char* version : {"0.9", "1.2", "1.9", "2.0", "3.0", "9.9"}) {
    EXPECT_EQ(reason_of(with_line("GET / HTTP/"s + version)), Reason::kUnsupportedVersion) << version;
  }
  EXPECT_EQ(reason_of("PRI * HTTP/2.0\r\n\r\n"), Reason::kUnsupportedVersion);
  EXPECT_EQ(reason_of("GET /  HTTP/2.0\r\n\r\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of("G T / HTTP/2.0\r\n\r\n"), Reason::kBadRequest);
}

TEST(RequestHead, RefusesTargetsThatAreNone) {
  const std::string targets[] = {"x",           "*",          "/a#b",           "/a\"b",     "/a<b",
                                 "/\x7f",       "/\xc3\xa4",  "/\x80",          "ftp://a/",  "http:/a",
                                 "http:///x",   "http://?x",  "http://u@b/",    "://b/",     "http://b:x/",
                                 "http://b c/", "http://[/x", "http://a:1:2/x", "//[::1",    "javascript:alert(1)",
                                 "a:443",       "?x",         "http://u:p@b/x", "http://,/", "http://a\\b/"};
  for (const std::string& target : targets) {
    if (target == "//[::1") continue;  // a path like any other
    EXPECT_EQ(reason_of(with_line("GET " + target + " HTTP/1.1")), Reason::kBadRequest) << target;
  }
  for (const char* target : {"/", "http://a/", "a/b", "u@a:443"}) {
    EXPECT_EQ(reason_of(with_line("CONNECT "s + target + " HTTP/1.1")), Reason::kBadRequest) << target;
  }
}

TEST(RequestHead, RefusesEveryControlCharacterEverywhere) {
  for (int c = 0; c < 0x20; ++c) {
    if (c == '\t') continue;  // allowed only within values
    const std::string control(1, static_cast<char>(c));
    EXPECT_EQ(reason_of(with_line("GET /" + control + " HTTP/1.1")), Reason::kBadRequest) << c;
    EXPECT_EQ(reason_of(with_field("X: a" + control + "b")), Reason::kBadRequest) << c;
    EXPECT_EQ(reason_of(with_field("X: a" + control)), Reason::kBadRequest) << c;
    EXPECT_EQ(reason_of(with_field("X" + control + ": a")), Reason::kBadRequest) << c;
    EXPECT_EQ(reason_of(with_field(control + "X: a")), Reason::kBadRequest) << c;
  }
  EXPECT_EQ(reason_of(with_field("X: a\x7f")), Reason::kBadRequest);
  EXPECT_EQ(reason_of(with_field("X\t: a")), Reason::kBadRequest);
  EXPECT_EQ(reason_of(with_field("X: a\tb \x80\xff")), Reason::kNone) << "tab and obs-text are part of values";
}

TEST(RequestHead, RefusesNamesThatAreNoTokens) {
  for (int c = 0x20; c < 0x100; ++c) {
    const char character = static_cast<char>(c);
    const bool token = (c < 0x80 && std::isalnum(c) != 0) || "!#$%&'*+-.^_`|~"s.find(character) != std::string::npos;
    if (character == ':') continue;  // it ends the name
    EXPECT_EQ(reason_of(with_field("X"s + character + "Y: a")), token ? Reason::kNone : Reason::kBadRequest) << c;
  }
}

TEST(RequestHead, RefusesFieldLinesThatTwoParsersMayReadDifferently) {
  const std::string fields[] = {": a",
                                " : a",
                                "X : a",
                                "X",
                                "X a",
                                "X: a\r\n b",
                                "X: a\r\n\tb",
                                "X:\r\n b",
                                "X: a\r\n ",
                                " X: a",
                                "X: a\nY: b",
                                "X: a\rY: b",
                                "X: a\r\r\nY: b",
                                "X: a\n\rY: b",
                                "X: a\r\n\rY: b",
                                "X: a\r",
                                "X: a\n",
                                "\r",
                                "X\r\n: a",
                                "X: a\0b"s};
  for (const std::string& field : fields) EXPECT_EQ(reason_of(with_field(field)), Reason::kBadRequest) << field;
  EXPECT_EQ(reason_of("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Reason::kBadRequest) << "white space before the first field";
  EXPECT_EQ(reason_of("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n"), Reason::kBadRequest);
}

TEST(RequestHead, RefusesBareLineFeedsWhereverTheyEndALine) {
  EXPECT_EQ(reason_of("GET / HTTP/1.1\nHost: a\n\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of("GET / HTTP/1.1\nHost: a\r\n\r\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of("GET / HTTP/1.1\r\nHost: a\n\r\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of("GET / HTTP/1.1\r\nHost: a\r\n\n"), Reason::kBadRequest);
}

TEST(RequestHead, WantsOneWholeHeadAndNothingBehindIt) {
  const std::string whole = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(reason_of(whole.substr(0, size)), Reason::kBadRequest) << size;
  EXPECT_EQ(reason_of(whole), Reason::kNone);
  EXPECT_EQ(reason_of(whole + "x"), Reason::kBadRequest);
  EXPECT_EQ(reason_of(whole + "\r\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of(whole + whole), Reason::kBadRequest);
  EXPECT_EQ(reason_of("\r\n" + whole), Reason::kBadRequest) << "the caller skips empty lines";
}

TEST(RequestHead, WantsExactlyOneHostInHttp11) {
  EXPECT_EQ(reason_of("GET / HTTP/1.1\r\n\r\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of("GET http://a/ HTTP/1.1\r\n\r\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"), Reason::kBadRequest);
  EXPECT_EQ(reason_of("GET / HTTP/1.0\r\n\r\n"), Reason::kNone);
  EXPECT_EQ(reason_of("GET / HTTP/1.1\r\nHost:\r\n\r\n"), Reason::kBadRequest) << "the router serves no URI without authority";
  EXPECT_EQ(reason_of("GET / HTTP/1.0\r\nHost: \r\n\r\n"), Reason::kBadRequest);
}

TEST(RequestHead, RefusesHostsThatAreNone) {
  const char* right[] = {
      "a", "a.b-c_d~e", "A%20b", "1.2.3.4", "a:", "a:0", "a:65535", "[::1]", "[::1]:80", "[2001:DB8::1.2.3.4]:1"};
  const char* wrong[] = {"u@a",       "a b",     "a/b",  "a\\b",   "a:x",     "a:-1",  "a:+1",        "a:123456",
                         "a:1:2",     ":80",     "[::1", "::1]",   "[]",      "[a/b]", "[ab..cd::1]", "[fe80::1%25eth0]",
                         "[1.2.3.4]", "[v1.a]",  ":",    "[::1]x", "[::1]:x", "a,b",   "a;b",         "a=b",
                         "\"a\"",     "a#b",     "a?b",  "a[b]",   "<a>",     "a\tb",  "\xc3\xa4",    "a: 80",
                         "a :80",     "[::1] :1"};
  for (const char* host : right) EXPECT_EQ(reason_of("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n"), Reason::kNone) << host;
  for (const char* host : wrong) {
    EXPECT_EQ(reason_of("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n"), Reason::kBadRequest) << host;
    EXPECT_EQ(reason_of("GET http://a/ HTTP/1.1\r\nHost: "s + host + "\r\n\r\n"), Reason::kBadRequest) << host;
  }
}

TEST(RequestHead, HoldsAtMost128Fields) {
  std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t field = 1; field < Fields::kUsual; ++field) bytes += "X: y\r\n";
  EXPECT_EQ(reason_of(bytes + "\r\n"), Reason::kNone);
  EXPECT_EQ(reason_of(bytes + "X: y\r\n\r\n"), Reason::kHeadersTooLarge);
}

TEST(RequestHead, HoldsAsManyFieldsAsTheCallerWants) {
  std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int field = 1; field < 1000; ++field) bytes += absl::StrCat("X-", field, ": ", field, "\r\n");
  bytes += "\r\n";
  RequestHead head;
  EXPECT_EQ(parse_request(bytes, head, 999).error().reason, Reason::kHeadersTooLarge);
  ASSERT_TRUE(parse_request(bytes, head, 1000));
  EXPECT_EQ(head.fields.size(), 1000u);
  EXPECT_EQ((head.fields.end() - 1)->value, "999");
  EXPECT_EQ(parse_request("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", head, 1).error().reason, Reason::kHeadersTooLarge);
}

TEST(RequestHead, TakesLongFieldsAndTargets) {
  const std::string text(60000, 'v');
  RequestHead head;
  const std::string bytes = "GET /" + text + " HTTP/1.1\r\nHost: a\r\nX-Last: " + text + "\r\n\r\n";
  ASSERT_TRUE(parse_request(bytes, head));
  EXPECT_EQ(head.path.size(), text.size() + 1);
  EXPECT_EQ((head.fields.begin() + 1)->value, text);
}

}  // namespace
}  // namespace router::http
