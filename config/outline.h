#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace router::config {

/// The allowed range of a number, both ends included; `unit` is for the message.
struct Range {
  std::int64_t least = 0;
  std::int64_t most = 0;
  const char* unit = "";
};

/// Where a document comes from. A file is written by an operator and may refer to the process's environment (`${NAME}`) and
/// files. A resource is written by a tenant and may not: its texts are taken literally.
enum class Source { kFile, kResource };

/// The kind of a document, for messages about keys that belong in another one.
enum class Described { kUnknown, kRouterYaml, kEndpoint, kDeployment };

/// Every key that the reader of a document knows, with its type and bounds. The calls that read a document also record its
/// outline (MapReader, reader.h). So messages ("it belongs at …") and JSON schemas (schema.h) always agree with the reader.
struct Outline {
  struct Field;
  std::map<std::string, Field> fields;  // kAnyName: stands for every name that the file chooses
  static constexpr const char* kAnyName = "*";
};

struct Outline::Field {
  enum class Kind {
    kUnused,  // known, without effect: any value
    kText,
    kNumber,
    kFlag,
    kWord,
    kMap,
    kMaps,  // a list of maps
    kTexts,
    kTextMap,  // any names with any texts
    kRefused,  // known, but a mistake here
  };
  Kind kind = Kind::kUnused;
  bool required = false;  // must be present and not empty
  bool or_text = false;   // a text is allowed in place of the map
  Range range;
  std::vector<std::string> words;
  std::string initial;  // the default of a number or flag; empty: not recorded
  std::unique_ptr<Outline> inner;
};

/// The outline of a whole document. Built once, then constant. Any thread.
const Outline& outline_of(Described what, Source source);

/// Says where else `key` is known: "it belongs at `router.replicas`". Looks in documents of the same kind first, then in the
/// others, which the text then names. Empty: not known elsewhere, or in too many locations to help.
std::string where_known(const std::string& key, Described what, Source source);

/// Whether `key` is allowed in `router:` of a document in a file.
bool is_key_of_router(const std::string& key, Described what);

}  // namespace router::config
