#include "config/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>
#include <unordered_set>

#include "config/file_text.h"
#include "config/slips.h"
#include "router/base/assert.h"
#include "router/files/read_file.h"

namespace router::config {

const YamlValue::Member* YamlValue::find(std::string_view key) const {
  const auto found = std::find_if(members.begin(), members.end(), [key](const Member& each) { return each.key == key; });
  return found == members.end() ? nullptr : &*found;
}

namespace {

using Kind = YamlValue::Kind;
using Value = std::shared_ptr<const YamlValue>;

/// Ends the parse of a file that exceeds a limit, or that cannot be represented as a tree.
struct Refused : std::runtime_error {
  Refused(int at, const std::string& what) : std::runtime_error(what), line(at) {}
  int line;
};

/// Builds one document from yaml-cpp's events. `nodes` counts over all documents of the file.
class Builder final : public YAML::EventHandler {
 public:
  Builder(const std::string& file, const YamlLimits& limits, std::size_t& nodes, Findings& findings)
      : file_(file), limits_(limits), nodes_(nodes), findings_(findings) {}

  Value take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add_value(make(mark, Kind::kNull), anchor); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    auto made = make(mark, Kind::kScalar);
    made->scalar = value;
    made->is_plain = tag == "?";  // yaml-cpp's tag of such a scalar
    merges_next_ = made->is_plain && value == "<<";
    add_value(std::move(made), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) throw Refused(mark.line + 1, "an alias inside the value that it stands for");
    ROUTER_PLANT(open_.size() > 3 && known->second.nodes > 4);
    count(known->second.nodes, mark.line + 1);
    attach(known->second.value, mark.line + 1);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(make(mark, Kind::kSequence), anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(make(mark, Kind::kMap), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  /// A list or map whose end has not been reached.
  struct Open {
    std::shared_ptr<YamlValue> value;
    YAML::anchor_t anchor = YAML::NullAnchor;
    std::size_t nodes_before = 0;
    bool has_key = false;  // the next value belongs to `key`
    bool merging = false;  // that key is `<<`
    std::string key;
    int key_line = 0;
    std::unordered_set<std::string> keys;
    std::vector<Value> merged;
  };
  struct Anchored {
    Value value;
    std::size_t nodes = 0;  // of the whole value, aliases counted
  };

  std::shared_ptr<YamlValue> make(const YAML::Mark& mark, Kind kind) {
    count(1, mark.line + 1);
    auto made = std::make_shared<YamlValue>();
    made->kind = kind;
    made->line = mark.line + 1;
    return made;
  }

  void count(std::size_t nodes, int line) {
    nodes_ += nodes;
    if (nodes_ > limits_.nodes_max) {
      throw Refused(line, "more than " + std::to_string(limits_.nodes_max) + " values in one file, aliases counted");
    }
  }

  void add_value(std::shared_ptr<YamlValue> value, YAML::anchor_t anchor) {
    const int line = value->line;
    if (anchor != YAML::NullAnchor) anchors_[anchor] = {value, 1};
    attach(std::move(value), line);
  }

  void open(std::shared_ptr<YamlValue> value, YAML::anchor_t anchor) {
    if (open_.size() >= limits_.depth_max) {
      throw Refused(value->line, "nested deeper than " + std::to_string(limits_.depth_max) + " levels");
    }
    Open& opened = open_.emplace_back();
    opened.value = std::move(value);
    opened.anchor = anchor;
    opened.nodes_before = nodes_;
  }

  void close() {
    merge(open_.back());
    const Open closed = std::move(open_.back());
    open_.pop_back();
    if (closed.anchor != YAML::NullAnchor) anchors_[closed.anchor] = {closed.value, nodes_ - closed.nodes_before + 1};
    attach(closed.value, closed.value->line);
  }

  void attach(Value value, int line) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& into = open_.back();
    if (into.value->kind == Kind::kSequence) {
      into.value->items.push_back(std::move(value));
    } else if (!into.has_key) {
      take_key(into, *value, line);
    } else {
      take_value(into, std::move(value), line);
    }
  }

  void take_key(Open& into, const YamlValue& key, int line) {
    if (key.kind != Kind::kScalar) throw Refused(line, "a key must be plain text");
    into.has_key = true;
    into.key = key.scalar;
    into.key_line = line;
    into.merging = merges_next_;
  }

  void take_value(Open& into, Value value, int line) {
    into.has_key = false;
    if (!into.keys.insert(into.key).second) {
      findings_.mistake({file_, into.key_line, path_of(into.key)}, "this key is given twice");
    } else if (into.merging) {
      take_merged(into, value, line);
    } else {
      into.value->members.push_back({into.key, into.key_line, std::move(value)});
    }
  }

  /// `<<: *other` (YAML 1.1 merge keys): the map's own keys win.
  void take_merged(Open& into, const Value& value, int line) {
    const bool list = value->kind == Kind::kSequence;
    const std::vector<Value> maps = list ? value->items : std::vector<Value>{value};
    for (const Value& map : maps) {
      if (map->kind != Kind::kMap) throw Refused(line, "a map, or a list of maps, is expected after <<");
      into.merged.push_back(map);
    }
  }
  void merge(Open& into) {
    for (const Value& map : into.merged) {
      count(map->members.size(), into.value->line);
      for (const YamlValue::Member& member : map->members) {
        if (into.keys.insert(member.key).second) into.value->members.push_back(member);
      }
    }
  }

  /// The path of a key of the innermost open map.
  std::string path_of(const std::string& key) const {
    std::string path;
    for (std::size_t depth = 0; depth + 1 < open_.size(); ++depth) {
      const Open& outer = open_[depth];
      const bool list = outer.value->kind == Kind::kSequence;
      path += list ? "[" + std::to_string(outer.value->items.size()) + "]" : (path.empty() ? "" : ".") + shown_key(outer.key);
    }
    return path + (path.empty() ? "" : ".") + shown_key(key);
  }

  const std::string& file_;
  const YamlLimits& limits_;
  std::size_t& nodes_;
  Findings& findings_;
  bool merges_next_ = false;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  Value root_;
};

/// Line `number` of a text, from 1; empty if it does not exist.
std::string_view line_of(std::string_view text, int number) {
  for (; number > 1 && !text.empty(); --number) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  return text.substr(0, text.find('\n'));
}

void read_documents(const std::string& file, const std::string& text, const YamlLimits& limits, Findings& findings,
                    YamlFile& into) {
  std::size_t nodes = 0;
  // If a line end precedes the end of the file, yaml-cpp 0.7 accepts a quote that is never closed, and silently takes the rest
  // of the file as one text. Without that line end it refuses the file.
  std::istringstream stream(text.substr(0, text.find_last_not_of(" \t\r\n") + 1));
  YAML::Parser parser(stream);
  for (;;) {
    Builder builder(file, limits, nodes, findings);
    if (!parser.HandleNextDocument(builder)) return;
    Value document = builder.take();
    if (document != nullptr && document->kind != Kind::kNull) into.documents.push_back(std::move(document));
  }
}

}  // namespace

YamlFile read_yaml(const std::string& file, Findings& findings, const YamlLimits& limits) {
  YamlFile found;
  const auto refuse = [&](int line, const std::string& why) {
    findings.mistake({file, line, ""}, why);
    found.complete = false;
  };
  files::FileText content = files::read_file(file, limits.bytes_max);
  if (!content.mistake.empty()) {
    refuse(0, content.mistake);
    return found;
  }
  if (!is_plain_text(content.text)) {
    refuse(0, "is not text; YAML in UTF-8 without control characters is expected");
    return found;
  }
  try {
    read_documents(file, content.text, limits, findings, found);
  } catch (const Refused& refused) {
    const std::string slip = describe_slip(line_of(content.text, refused.line));
    refuse(refused.line, slip.empty() ? refused.what() : slip);
  } catch (const YAML::Exception& error) {
    const int line = std::max(error.mark.line, 0) + 1;
    const std::string slip = describe_slip(line_of(content.text, line));
    refuse(line, "is not valid YAML: " + (slip.empty() ? shown_message(error.msg) : slip));
  }
  if (found.documents.empty() && found.complete) refuse(1, "the file is empty");
  return found;
}

}  // namespace router::config
