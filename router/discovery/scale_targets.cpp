#include "router/discovery/scale_targets.h"

#include <deque>
#include <set>
#include <utility>

#include "router/discovery/scale_hpas.h"
#include "router/discovery/scale_target.h"

namespace router::discovery {
namespace {

constexpr std::chrono::milliseconds kLookSpacing{200};  // of one target
constexpr std::chrono::milliseconds kTick{100};         // the shortest time between two turns of asking
constexpr std::chrono::milliseconds kCheckEvery{500};   // of what changes without an event: rights, the age of what is known
constexpr std::size_t kLooksPerTick = static_cast<std::size_t>(ScaleTargets::kLooksPerSecond * kTick / std::chrono::seconds(1));

bool is_same_target(ScaledDeployment a, const ScaledDeployment& b) {
  a.interval = b.interval;
  return a == b;
}

}  // namespace

/// Lives as long as its ScaleTargets, or until the callback that is being called has ended.
struct ScaleTargets::State final : std::enable_shared_from_this<State>, private runtime::Timer {
  /// A target, and when it is looked at next.
  struct Entry {
    explicit Entry(ScaledDeployment deployment) : target(std::move(deployment)) {}
    ScaleTarget target;
    TimePoint due{};
  };
  struct Looks final : kubernetes::Sender {
    explicit Looks(State& of) : state(of) {}
    std::optional<kubernetes::ApiRequest> request_for(const std::string& key) override;
    Outcome answered(const std::string& key, const kubernetes::ApiAnswer& answer) override;
    void unanswered(const std::string& key, const std::string& why) override;
    State& state;
  };
  struct Writes final : kubernetes::Sender {
    explicit Writes(State& of) : state(of) {}
    std::optional<kubernetes::ApiRequest> request_for(const std::string& key) override;
    Outcome answered(const std::string& key, const kubernetes::ApiAnswer& answer) override;
    void unanswered(const std::string& key, const std::string& why) override;
    State& state;
  };
  /// A call that is due: the end of a write, or that something has changed.
  struct Word {
    std::string key;
    std::optional<ScaleWritten> written;
  };

  State(kubernetes::ApiClient& client, runtime::TaskGroup& group, ScaleTargetsOptions with)
      : shard(client.shard()),
        options(std::move(with)),
        hpas(client, group, options.namespaces, [this](const std::string& of) { hpas_changed(of); }),
        look_errands(client, group, {kLooksUnderWay, kLookSpacing}, [] { return true; }),
        write_errands(client, group, {kWritesUnderWay, std::chrono::milliseconds(0)}, [] { return true; }) {}

  ScaleTarget* find(const std::string& key);
  void set(std::vector<ScaledDeployment> wanted);
  void take(ScaledDeployment wanted);
  void plan(const std::string& key, Entry& entry);
  void ask_those_that_are_due();
  void expired() override;
  void hpas_changed(const std::string& namespace_name);
  void ask_hpas(Entry& entry);
  void server_is(std::string away_because);
  /// Keeps what has changed at `target`, to be told from the loop.
  void note(const std::string& key, ScaleTarget& target);
  void tell();

  runtime::Shard& shard;
  const ScaleTargetsOptions options;
  std::map<std::string, Entry> entries;
  std::set<std::pair<TimePoint, std::string>> due;
  TimePoint check_due{};
  std::string away;  // why the last request has no answer; empty: it has one
  std::deque<Word> words;
  bool telling = false;
  bool ended = false;
  ScaleHpas hpas;
  Looks looks{*this};
  Writes writes{*this};
  kubernetes::Errands look_errands;
  kubernetes::Errands write_errands;
};

ScaleTarget* ScaleTargets::State::find(const std::string& key) {
  const auto found = entries.find(key);
  return found == entries.end() ? nullptr : &found->second.target;
}

void ScaleTargets::State::set(std::vector<ScaledDeployment> wanted) {
  std::set<std::string> keys;
  std::set<std::string> namespaces;
  for (const ScaledDeployment& each : wanted) {
    keys.insert(each.key);
    if (!each.adopts_azureml_pods) namespaces.insert(each.namespace_name);
  }
  std::erase_if(entries, [&](const auto& each) { return !keys.contains(each.first); });
  std::erase_if(due, [&](const auto& each) { return !keys.contains(each.second); });
  hpas.follow(namespaces);
  for (ScaledDeployment& each : wanted) take(std::move(each));
  if (!entries.empty()) shard.schedule(*this, shard.now());
}

void ScaleTargets::State::take(ScaledDeployment wanted) {
  wanted.interval = std::max(wanted.interval, kIntervalLeast);
  const auto found = entries.find(wanted.key);
  if (found != entries.end() && is_same_target(wanted, found->second.target.deployment())) {
    return found->second.target.set_interval(wanted.interval);
  }
  if (found != entries.end()) {
    due.erase({found->second.due, found->first});
    entries.erase(found);
  }
  const std::string key = wanted.key;
  Entry& entry = entries.try_emplace(key, std::move(wanted)).first->second;
  ask_hpas(entry);
  entry.target.take_change();
  plan(key, entry);
  look_errands.ask(looks, key);
}

void ScaleTargets::State::plan(const std::string& key, Entry& entry) {
  const TimePoint next = shard.now() + entry.target.deployment().interval;
  if (!due.emplace(next, key).second) return;
  due.erase({std::exchange(entry.due, next), key});
}

void ScaleTargets::State::ask_those_that_are_due() {
  for (std::size_t i = 0; i < kLooksPerTick && !due.empty() && due.begin()->first <= shard.now(); ++i) {
    const std::string key = due.begin()->second;
    plan(key, entries.at(key));
    look_errands.ask(looks, key);
  }
}

void ScaleTargets::State::expired() {
  if (entries.empty()) return;
  const TimePoint now = shard.now();
  shard.schedule(*this, now + kTick);  // first: the code below may throw std::bad_alloc
  ask_those_that_are_due();
  if (now >= check_due) {
    check_due = now + kCheckEvery;
    hpas.check();
    if (!away.empty()) server_is(away);
  }
  const TimePoint next = due.empty() ? check_due : std::min(due.begin()->first, check_due);
  shard.schedule(*this, std::max(now + kTick, next));
}

void ScaleTargets::State::hpas_changed(const std::string& namespace_name) {
  for (auto& [key, entry] : entries) {
    if (!namespace_name.empty() && entry.target.deployment().namespace_name != namespace_name) continue;
    ask_hpas(entry);
    note(key, entry.target);
  }
}

void ScaleTargets::State::ask_hpas(Entry& entry) {
  const ScaledDeployment& of = entry.target.deployment();
  entry.target.set_hpas(hpas.ask(of.namespace_name, of.target.kind, of.target.name), shard.now());
}

void ScaleTargets::State::server_is(std::string away_because) {
  away = std::move(away_because);
  for (auto& [key, entry] : entries) {
    const bool is_stale = !away.empty() && shard.now() - entry.target.seen().seen > kStaleAfter;
    entry.target.set_away(is_stale ? away : "");
    note(key, entry.target);
  }
}

void ScaleTargets::State::note(const std::string& key, ScaleTarget& target) {
  if (target.has_end()) {  // in this order: what is taken is told, whichever step throws std::bad_alloc
    words.push_back({key, std::nullopt});
    words.back().written = target.take_end();
  }
  if (target.has_change()) {
    words.push_back({key, std::nullopt});
    target.take_change();
  }
  if (words.empty() || telling) return;
  shard.post([self = weak_from_this()] {
    if (const auto state = self.lock()) state->tell();
  });
  telling = true;
}

void ScaleTargets::State::tell() {
  telling = false;
  while (!words.empty() && !ended) {
    const Word word = std::move(words.front());
    words.pop_front();
    if (!entries.contains(word.key)) continue;
    if (word.written) {
      options.written(word.key, *word.written);
    } else {
      options.changed(word.key);
    }
  }
}

std::optional<kubernetes::ApiRequest> ScaleTargets::State::Looks::request_for(const std::string& key) {
  ScaleTarget* target = state.find(key);
  return target != nullptr ? target->look() : std::nullopt;
}

kubernetes::Sender::Outcome ScaleTargets::State::Looks::answered(const std::string& key, const kubernetes::ApiAnswer& answer) {
  if (!state.away.empty()) state.server_is("");
  if (ScaleTarget* target = state.find(key); target != nullptr) {
    target->look_answered(answer, state.shard.now());
    state.note(key, *target);
  }
  return Outcome::kDone;
}

void ScaleTargets::State::Looks::unanswered(const std::string&, const std::string& why) { state.away = why; }

std::optional<kubernetes::ApiRequest> ScaleTargets::State::Writes::request_for(const std::string& key) {
  ScaleTarget* target = state.find(key);
  if (target == nullptr) return std::nullopt;
  std::optional<kubernetes::ApiRequest> request = target->write_request();
  state.note(key, *target);
  return request;
}

kubernetes::Sender::Outcome ScaleTargets::State::Writes::answered(const std::string& key, const kubernetes::ApiAnswer& answer) {
  if (!state.away.empty()) state.server_is("");
  ScaleTarget* target = state.find(key);
  if (target == nullptr) return Outcome::kDone;
  if (target->write_answered(answer, state.shard.now())) state.write_errands.ask(*this, key);
  state.note(key, *target);
  return Outcome::kDone;
}

void ScaleTargets::State::Writes::unanswered(const std::string& key, const std::string& why) {
  state.away = why;
  ScaleTarget* target = state.find(key);
  if (target == nullptr) return;
  target->write_unanswered(why);
  state.note(key, *target);
}

std::string_view name_of(ScaleWriteResult result) {
  switch (result) {
    case ScaleWriteResult::kWritten: return "written";
    case ScaleWriteResult::kConflict: return "conflict";
    case ScaleWriteResult::kForbidden: return "forbidden";
    case ScaleWriteResult::kRefused: return "refused";
    case ScaleWriteResult::kUnknown: return "unknown";
  }
  std::abort();
}

ScaleTargets::ScaleTargets(kubernetes::ApiClient& client, runtime::TaskGroup& group, ScaleTargetsOptions options)
    : state_(std::make_shared<State>(client, group, std::move(options))) {}

ScaleTargets::~ScaleTargets() { state_->ended = true; }

void ScaleTargets::set(std::vector<ScaledDeployment> wanted) { state_->set(std::move(wanted)); }

const ScaleSeen* ScaleTargets::seen(const std::string& key) const {
  const ScaleTarget* target = state_->find(key);
  return target != nullptr ? &target->seen() : nullptr;
}

void ScaleTargets::look_now(const std::string& key) {
  if (state_->entries.contains(key)) state_->look_errands.ask(state_->looks, key);
}

bool ScaleTargets::write(const std::string& key, int replicas) {
  ScaleTarget* target = state_->find(key);
  if (target == nullptr || !target->can_write(state_->shard.now())) return false;
  state_->write_errands.ask(state_->writes, key);  // first: it may throw, and does nothing for a write that was not begun
  target->begin_write(replicas);
  return true;
}

}  // namespace router::discovery
