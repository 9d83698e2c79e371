#include "config/schema.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace router::config::test {
namespace {

namespace json = boost::json;

json::value schema(const char* name) { return json::parse(json_schema(name).value()); }

/// The value at a JSON pointer (RFC 6901), as text.
std::string at(const json::value& schema, const char* pointer) {
  json::error_code error;
  const json::value* found = schema.find_pointer(pointer, error);
  return found == nullptr ? "nothing" : json::serialize(*found);
}

TEST(Schema, IsThereForEachSortOfFile) {
  for (const std::string& name : schema_names()) {
    EXPECT_EQ(at(json::parse(json_schema(name).value()), "/$schema"), "\"http://json-schema.org/draft-07/schema#\"") << name;
  }
  EXPECT_FALSE(json_schema("Router"));
  EXPECT_FALSE(json_schema(""));
}

TEST(Schema, HasBoundsAndDefaultsOfReading) {
  const json::value router = schema("router");
  EXPECT_EQ(at(router, "/properties/limits/properties/max_header_bytes/anyOf/0"),
            R"({"type":"integer","minimum":1024,"maximum":1048576})");
  EXPECT_EQ(at(router, "/properties/limits/properties/max_header_bytes/default"), "65536");
  EXPECT_EQ(at(router, "/properties/via/default"), "true");
  EXPECT_EQ(at(router, "/properties/log/properties/level/anyOf/0/enum"), R"(["debug","info","warning","warn","error"])");
  EXPECT_EQ(at(router, "/properties/listeners/minItems"), "1");
  EXPECT_EQ(at(router, "/required"), R"(["listeners"])");
  EXPECT_EQ(at(router, "/additionalProperties"), "false");
}

TEST(Schema, AnOverlayHasTheKeysOfRouterAtBothLevels) {
  const json::value overlay = schema("overlay");
  const std::string endpoint = "/properties/endpoints/additionalProperties/properties/";
  EXPECT_NE(at(overlay, (endpoint + "keys/properties/primary_file").c_str()), "nothing");
  EXPECT_NE(at(overlay, (endpoint + "traffic").c_str()), "nothing");
  EXPECT_NE(at(overlay, (endpoint + "deployments/additionalProperties/properties/replicas").c_str()), "nothing");
  EXPECT_NE(at(overlay, "/properties/files/additionalProperties/properties/all_traffic"), "nothing");
}

TEST(Schema, AResourceHasWhatAFileHasNotAndTheOtherWayRound) {
  const std::string in_file = "/properties/router/properties/";
  const std::string in_resource = "/properties/spec/properties/router/properties/";
  EXPECT_NE(at(schema("deployment"), (in_file + "replicas").c_str()), "nothing");
  EXPECT_EQ(at(schema("deployment"), (in_file + "service").c_str()), "nothing");
  EXPECT_EQ(at(schema("OnlineDeployment"), (in_resource + "replicas").c_str()), "nothing");
  EXPECT_NE(at(schema("OnlineDeployment"), (in_resource + "service").c_str()), "nothing");
  EXPECT_NE(at(schema("OnlineEndpoint"), (in_resource + "keys/properties/secretName").c_str()), "nothing");
  const std::string flag = "/properties/forward_authorization";
  EXPECT_EQ(at(schema("OnlineEndpoint"), ("/properties/spec/properties/router" + flag).c_str()),
            R"({"type":"boolean","default":false})");
}

}  // namespace
}  // namespace router::config::test
