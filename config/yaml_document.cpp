#include "config/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace router::config {
namespace {

using Kind = YamlValue::Kind;

/// Ends the parse of a file that goes beyond a limit.
struct BeyondLimit : std::runtime_error {
  BeyondLimit(int at, const std::string& what) : std::runtime_error(what), line(at) {}
  int line;
};

class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(const YamlLimits& limits) : limits_(limits) {}

  std::shared_ptr<const YamlValue> take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { place(make(mark, Kind::kNull), anchor); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    auto made = make(mark, Kind::kScalar);
    made->scalar = value;
    made->quoted = tag == "!";
    place(std::move(made), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) throw BeyondLimit(mark.line + 1, "an alias within the value that it stands for");
    count(sizes_[anchor], mark.line + 1);
    attach(known->second, mark.line + 1);
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
  struct Open {
    std::shared_ptr<YamlValue> value;
    YAML::anchor_t anchor;
    std::size_t nodes_before;
    bool has_key = false;
    std::string key;
    int key_line = 0;
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
    if (nodes_ > limits_.nodes_max)
      throw BeyondLimit(line, "more than " + std::to_string(limits_.nodes_max) + " values, aliases counted");
  }
  void place(std::shared_ptr<YamlValue> value, YAML::anchor_t anchor) {
    const int line = value->line;
    remember(anchor, value, 1);
    attach(std::move(value), line);
  }
  void remember(YAML::anchor_t anchor, std::shared_ptr<const YamlValue> value, std::size_t size) {
    if (anchor == YAML::NullAnchor) return;
    anchors_[anchor] = std::move(value);
    sizes_[anchor] = size;
  }
  void open(std::shared_ptr<YamlValue> value, YAML::anchor_t anchor) {
    if (open_.size() >= limits_.depth_max) {
      throw BeyondLimit(value->line, "nested deeper than " + std::to_string(limits_.depth_max) + " levels");
    }
    open_.push_back({std::move(value), anchor, nodes_, false, {}, 0});
  }
  void close() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    remember(closed.anchor, closed.value, nodes_ - closed.nodes_before + 1);
    const int line = closed.value->line;
    attach(std::move(closed.value), line);
  }
  void attach(std::shared_ptr<const YamlValue> value, int line) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& into = open_.back();
    if (into.value->kind == Kind::kSequence) {
      into.value->items.push_back(std::move(value));
    } else if (!into.has_key) {
      if (value->kind != Kind::kScalar) throw BeyondLimit(line, "a key must be plain text");
      into.has_key = true;
      into.key = value->scalar;
      into.key_line = line;
    } else {
      into.has_key = false;
      into.value->members.push_back({std::move(into.key), into.key_line, std::move(value)});
    }
  }

  const YamlLimits limits_;
  std::size_t nodes_ = 0;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, std::shared_ptr<const YamlValue>> anchors_;
  std::map<YAML::anchor_t, std::size_t> sizes_;
  std::shared_ptr<const YamlValue> root_;
};

/// The file's text, or why there is none.
std::string read_text(const std::string& file, const YamlLimits& limits, std::string& why_not) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    why_not = "is a folder; a YAML file is expected";
    return {};
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    why_not = "cannot be read; check that it exists and its permissions";
    return {};
  }
  std::string text(limits.bytes_max + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > limits.bytes_max) why_not = "is larger than " + std::to_string(limits.bytes_max) + " bytes";
  if (text.find('\0') != std::string::npos) why_not = "is not text";
  return text;
}

}  // namespace

std::vector<std::shared_ptr<const YamlValue>> read_yaml(const std::string& file, std::vector<Mistake>& mistakes,
                                                        const YamlLimits& limits) {
  std::vector<std::shared_ptr<const YamlValue>> documents;
  std::string why_not;
  const std::string text = read_text(file, limits, why_not);
  if (!why_not.empty()) {
    mistakes.push_back({file, 0, why_not});
    return documents;
  }
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    for (;;) {
      Builder builder(limits);
      if (!parser.HandleNextDocument(builder)) break;
      std::shared_ptr<const YamlValue> document = builder.take();
      if (document != nullptr && document->kind != Kind::kNull) documents.push_back(std::move(document));
    }
  } catch (const BeyondLimit& beyond) {
    mistakes.push_back({file, beyond.line, beyond.what()});
    return {};
  } catch (const YAML::Exception& error) {
    mistakes.push_back({file, error.mark.line + 1, "not valid YAML: " + error.msg});
    return {};
  }
  if (documents.empty()) mistakes.push_back({file, 1, "the file is empty"});
  return documents;
}

}  // namespace router::config
