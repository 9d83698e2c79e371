#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace router::config {

/// What a number may be, both ends included; `unit` is for the message.
struct Range {
  std::int64_t least = 0;
  std::int64_t most = 0;
  const char* unit = "";
};

/// Where a document comes from. What an operator writes in a file may name the process's environment (`${NAME}`) and its files;
/// what a tenant writes in a resource may not: its texts are taken as they stand.
enum class Source { kFile, kResource };

/// What a document is, for messages about keys that belong into another one.
enum class Described { kUnknown, kRouterYaml, kEndpoint, kDeployment };

/// Every key that the reader of a document knows, with its type and bounds: what reading asks for, recorded by the same calls
/// (MapReader, reader.h). So messages ("it belongs at …") and JSON schemas (schema.h) cannot say anything else than reading
/// does.
struct Outline {
  struct Field;
  std::map<std::string, Field> fields;  // kAnyName: one for each name that the file chooses
  static constexpr const char* kAnyName = "*";
};

struct Outline::Field {
  enum class Kind {
    kUnused,  // known and without effect: any value
    kText,
    kNumber,
    kFlag,
    kWord,
    kMap,
    kMaps,  // a list of maps
    kTexts,
    kTextMap,  // any texts by any names
    kRefused,  // known, and a mistake here
  };
  Kind kind = Kind::kUnused;
  bool required = false;  // must be there and not be empty
  bool or_text = false;   // a text may stand in place of the map
  Range range;
  std::vector<std::string> words;
  std::string initial;  // the default of a number or flag; empty: not recorded
  std::unique_ptr<Outline> inner;
};

/// Of the whole document; read once, and constant. Any thread.
const Outline& outline_of(Described what, Source source);

/// Where else `key` may stand: "it belongs at `router.replicas`". In a document of the same sort if it is known there anywhere,
/// otherwise in the others, which are named then. Empty: nowhere, or in too many places to be of help.
std::string where_known(const std::string& key, Described what, Source source);

/// Whether `key` may stand in `router:` of a document in a file.
bool is_key_of_router(const std::string& key, Described what);

}  // namespace router::config
