#include "router/kubernetes/reflector.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "config/findings.h"
#include "router/base/log.h"
#include "router/base/log_deduplicator.h"
#include "router/kubernetes/back_off.h"
#include "router/kubernetes/json.h"
#include "router/kubernetes/list_page.h"
#include "router/kubernetes/resource_version.h"
#include "router/kubernetes/watch_events.h"
#include "router/runtime/background_task.h"

namespace router::kubernetes {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr std::size_t kRefusalMax = 64 * 1024;  // bytes of an answer that refuses a watch
constexpr seconds kLasts{1};                    // a watch that was open this long has made progress, even without an event
constexpr int kRefusalsMax = 3;                 // refused watches in a row; then everything is listed again

/// How a list or a watch ended, and what to do next.
struct StreamEnd {
  enum class Kind {
    kDone,          // the list is complete, or the server ended the watch regularly
    kBroken,        // try the same again
    kGone,          // 410: list again
    kUnauthorized,  // 401
    kUnusable,      // list again after a pause: the data cannot be used, and the server would probably send the same again
    kStopped,
  };
  Kind kind = Kind::kDone;
  std::string text;  // for the log; empty: nothing to log
  Duration retry_after{};
  bool has_newer_token = false;
};

bool says_gone(const json::object& status) {
  const std::string reason = text_in(status, "reason");
  return number_in(status, "code") == 410 || reason == "Gone" || reason == "Expired";
}

std::string with_selectors(const Selection& selection, std::string path) {
  if (!selection.field_selector.empty()) path += "&fieldSelector=" + percent_encoded(selection.field_selector);
  if (!selection.label_selector.empty()) path += "&labelSelector=" + percent_encoded(selection.label_selector);
  return path;
}

}  // namespace

/// Lives until its coroutine has ended, which may be after the destruction of the Reflector.
struct Reflector::Following final : runtime::BackgroundTask {
  Following(ApiClient& from, Selection what, Watcher& whom)
      : BackgroundTask(from.shard(), {"memory is short: a watch of the API server starts later", kInterruptedPause}),
        client(from),
        selection(std::move(what)),
        watcher(whom),
        back_off(from.shard()) {}

  Task<void> run() override;
  /// Runs one list or watch. Returns when the next one may begin.
  static Task<Deadline> step(Following& self);
  static Task<StreamEnd> list(Following& self);
  static Task<StreamEnd> watch(Following& self);
  static Task<StreamEnd> read_events(Following& self, ApiExchange& exchange, Deadline deadline);

  std::optional<StreamEnd> take(WatchEvent event);
  StreamEnd failed(const absl::Status& status) const;
  StreamEnd refused(const ApiAnswer& answer, ApiExchange& exchange, const char* verb);
  std::string explain(const ApiAnswer& answer, const char* verb) const;
  /// Counts and logs the end, decides what comes next, and returns how long to wait before that.
  Duration settle(const StreamEnd& end);
  /// An exception has ended a step. An event may not have reached the Watcher, so the next step lists everything again.
  Deadline interrupted();
  void log_end(const std::string& text);
  /// Records that data arrived from the server at most `ago` ago.
  void heard(Duration ago = {}) { heard_at = std::max(heard_at.value_or(TimePoint{}), now() - ago); }
  /// A watch is open and works, so earlier failures are over.
  void has_progressed();

  std::string list_path(const std::string& next) const;
  std::string watch_path(seconds timeout) const;
  std::string subject() const;

  ApiClient& client;
  const Selection selection;
  Watcher& watcher;
  BackOff back_off;
  ReflectorCounts counts;
  std::string version;                      // the resourceVersion from which to watch; empty: list first
  std::size_t page_objects = kPageObjects;  // halved each time that a page was too large
  bool listed = false;
  bool forbidden = false;
  bool watching = false;
  std::optional<TimePoint> heard_at;
  bool progressed = false;  // in the current or last watch
  int gone_in_a_row = 0;
  int unauthorized_in_a_row = 0;
  int refusals_in_a_row = 0;  // refused watches
  LogDeduplicator troubles;
};

std::string Reflector::Following::subject() const {
  return selection.resource.name() +
         (selection.namespace_name.empty() ? " in all namespaces" : " in namespace " + selection.namespace_name);
}

std::string Reflector::Following::list_path(const std::string& next) const {
  // Without a resourceVersion the server returns the newest state; otherwise it may answer from a cache that is behind.
  std::string path = absl::StrCat(collection_path(selection.resource, selection.namespace_name), "?limit=", page_objects);
  if (!next.empty()) path += "&continue=" + percent_encoded(next);
  return with_selectors(selection, path);
}

std::string Reflector::Following::watch_path(seconds timeout) const {
  return with_selectors(selection, absl::StrCat(collection_path(selection.resource, selection.namespace_name),
                                                "?watch=1&resourceVersion=", percent_encoded(version),
                                                "&allowWatchBookmarks=true&timeoutSeconds=", timeout.count()));
}

StreamEnd Reflector::Following::failed(const absl::Status& status) const {
  StreamEnd end;
  end.kind = cancelled() ? StreamEnd::Kind::kStopped : StreamEnd::Kind::kBroken;
  end.text = std::string(status.message());
  return end;
}

std::string Reflector::Following::explain(const ApiAnswer& answer, const char* verb) const {
  const std::string words = message_of(answer);
  const std::string said = absl::StrCat(answer.status, words.empty() ? "" : ": ", words);
  std::string refusal = absl::StrCat(client.name(), " refuses to ", verb, " ", subject(), " (", said, ")");
  switch (answer.status) {
    case 401: return refusal + ": it does not accept our credentials";
    case 403: {
      const char* role =
          selection.namespace_name.empty() ? "a ClusterRole and a ClusterRoleBinding" : "a Role and a RoleBinding there";
      return absl::StrCat(refusal, ": allow the verbs list and watch on ", selection.resource.name(), " by ", role);
    }
    case 404:
      return absl::StrCat(refusal, ": it has no ", selection.resource.name(), " in version ", selection.resource.version,
                          "; install the CustomResourceDefinition");
    default: return refusal;
  }
}

StreamEnd Reflector::Following::refused(const ApiAnswer& answer, ApiExchange& exchange, const char* verb) {
  StreamEnd end;
  end.kind = StreamEnd::Kind::kBroken;
  forbidden = answer.status == 403;
  end.text = explain(answer, verb);
  // Retry-After of a 503 is ignored: a starting server always says five seconds, but is usually ready after one.
  if (answer.status == 429) end.retry_after = std::min(answer.retry_after.value_or(seconds(0)), kRetryAfterMax);
  if (answer.status == 410) {
    end.kind = StreamEnd::Kind::kGone;
    end.text.clear();
  } else if (answer.status == 401) {
    end.kind = StreamEnd::Kind::kUnauthorized;
    end.has_newer_token = exchange.has_newer_token();
    if (end.has_newer_token) end.text.clear();
  }
  return end;
}

Task<StreamEnd> Reflector::Following::list(Following& self) {
  ++self.counts.lists;
  std::vector<json::object> objects;
  ListPage page;
  for (std::size_t pages = 0; pages == 0 || !page.next.empty(); ++pages) {
    if (objects.size() > kObjectsMax || pages >= kPagesMax) {
      StreamEnd end;
      end.kind = StreamEnd::Kind::kUnusable;
      end.text = absl::StrCat(self.client.name(), ": there are more than ", kObjectsMax, " ", self.subject());
      co_return end;
    }
    ApiRequest request;
    request.path = self.list_path(page.next);
    const auto exchange = co_await self.client.open(self, std::move(request));
    if (!exchange.ok()) co_return self.failed(exchange.status());
    const Deadline deadline = deadline_after(self.now(), ApiClient::kBodyWait);
    const auto answer = co_await (*exchange)->read_all(self, ApiClient::kBodyMax, deadline);
    if (absl::IsResourceExhausted(answer.status())) self.page_objects = std::max<std::size_t>(self.page_objects / 2, 1);
    if (!answer.ok()) co_return self.failed(answer.status());
    if (answer->status != 200) co_return self.refused(*answer, **exchange, "list");
    self.heard();
    auto taken = take_page(answer->body, objects);
    if (!taken.ok()) {
      StreamEnd end;
      end.kind = StreamEnd::Kind::kUnusable;
      end.text = absl::StrCat(self.client.name(), ": its answer to the request to list ", self.subject(), " ",
                              taken.status().message());
      co_return end;
    }
    // Keep the version of the first page: all pages were read at that version.
    if (pages > 0) taken->version = page.version;
    page = std::move(*taken);
  }
  self.version = page.version;
  self.unauthorized_in_a_row = 0;
  self.forbidden = false;
  self.watcher.listed(std::move(objects));
  self.listed = true;
  co_return StreamEnd{};
}

Task<StreamEnd> Reflector::Following::watch(Following& self) {
  ++self.counts.watches;
  self.progressed = false;
  const seconds timeout = kWatchMin + seconds(self.shard().random() % ((kWatchMax - kWatchMin).count() + 1));
  ApiRequest request;
  request.path = self.watch_path(timeout);
  const auto exchange = co_await self.client.open(self, std::move(request));
  if (!exchange.ok()) co_return self.failed(exchange.status());
  const TimePoint opened = self.now();
  if ((*exchange)->status() != 200) {
    const Deadline deadline = deadline_after(opened, ApiClient::kBodyWait);
    const auto answer = co_await (*exchange)->read_all(self, kRefusalMax, deadline);
    if (!answer.ok()) co_return self.failed(answer.status());
    const bool may_be_our_version = answer->status != 401 && answer->status != 403 && answer->status != 404 &&
                                    answer->status != 429 && answer->status != 503;
    if (may_be_our_version) ++self.refusals_in_a_row;
    co_return self.refused(*answer, **exchange, "watch");
  }
  self.unauthorized_in_a_row = 0;
  self.heard();
  self.watching = true;
  StreamEnd end = co_await read_events(self, **exchange, deadline_after(opened, timeout + kWatchGrace));
  self.watching = false;
  if (self.now() - opened >= kLasts) self.has_progressed();
  co_return end;
}

Task<StreamEnd> Reflector::Following::read_events(Following& self, ApiExchange& exchange, Deadline deadline) {
  const TimePoint opened = self.now();
  EventLines lines;
  bool has_bookmarks = false;
  StreamEnd unusable;
  unusable.kind = StreamEnd::Kind::kUnusable;
  for (;;) {
    const Deadline silence = has_bookmarks ? deadline_after(*self.heard_at, kSilenceMax) : kNever;
    const auto more = co_await exchange.read(self, lines.bytes(), std::min(deadline, silence));
    if (!more.ok()) {
      StreamEnd broken = self.failed(more.status());
      if (absl::IsUnavailable(more.status())) {
        self.heard(ApiClient::kVanishedAfter);  // the connection may have been dead for this long
        broken.text.clear();                    // the end of a connection is normal; only a failure to reconnect is logged
      }
      if (absl::IsDeadlineExceeded(more.status())) {
        broken.text = absl::StrCat(self.client.name(), " was silent for too long in the watch of ", self.subject());
      }
      co_return broken;
    }
    self.heard();
    if (!*more) {
      StreamEnd ended;
      // A pause is needed if the server ends each watch at once.
      if (!self.progressed && self.now() - opened < kLasts) ended.kind = StreamEnd::Kind::kBroken;
      co_return ended;
    }
    while (const std::optional<std::string_view> line = lines.next()) {
      if (line->empty()) continue;
      auto event = parse_event(*line);
      if (!event.ok()) {
        unusable.text =
            absl::StrCat(self.client.name(), ": a line of the watch of ", self.subject(), " ", event.status().message());
        co_return unusable;
      }
      has_bookmarks = has_bookmarks || event->type == WatchEvent::Type::kBookmark;
      std::optional<StreamEnd> end = self.take(std::move(*event));
      if (end) co_return std::move(*end);
    }
    if (lines.is_too_long()) {
      unusable.text = absl::StrCat(self.client.name(), ": an event of the watch of ", self.subject(), " is larger than ",
                                   EventLines::kEventMax, " bytes");
      co_return unusable;
    }
  }
}

std::optional<StreamEnd> Reflector::Following::take(WatchEvent event) {
  StreamEnd end;
  if (event.type == WatchEvent::Type::kError) {
    end.kind = says_gone(event.object) ? StreamEnd::Kind::kGone : StreamEnd::Kind::kUnusable;
    if (end.kind == StreamEnd::Kind::kUnusable) {
      end.text = absl::StrCat(client.name(), " ended the watch of ", subject(), ": ",
                              config::shown_message(text_in(event.object, "message")));
    }
    return end;
  }
  std::string at = metadata_text(event.object, "resourceVersion");
  if (at.empty()) {
    end.kind = StreamEnd::Kind::kUnusable;
    end.text = absl::StrCat(client.name(), ": an event of the watch of ", subject(), " has no resourceVersion");
    return end;
  }
  has_progressed();
  // If this server's cache is behind that of the server that sent the list, its bookmark may be older than the list. To
  // continue from that bookmark would bring back older states of objects.
  const bool steps_back = event.type == WatchEvent::Type::kBookmark && is_older(at, version);
  if (!steps_back) version = std::move(at);
  switch (event.type) {
    case WatchEvent::Type::kAdded:
    case WatchEvent::Type::kModified: watcher.changed(std::move(event.object)); break;
    case WatchEvent::Type::kDeleted: watcher.removed(std::move(event.object)); break;
    case WatchEvent::Type::kBookmark:
    case WatchEvent::Type::kError: break;
  }
  if (!cancelled()) return std::nullopt;
  end.kind = StreamEnd::Kind::kStopped;
  return end;
}

Duration Reflector::Following::settle(const StreamEnd& end) {
  if (std::exchange(progressed, false)) {
    back_off.reset();
    gone_in_a_row = refusals_in_a_row = 0;
  }
  log_end(end.text);
  switch (end.kind) {
    case StreamEnd::Kind::kStopped:
    case StreamEnd::Kind::kDone: return {};
    case StreamEnd::Kind::kGone:
      ++counts.gone;
      version.clear();
      return ++gone_in_a_row == 1 ? Duration{} : back_off.next();
    case StreamEnd::Kind::kUnauthorized:
      ++counts.unauthorized;
      return ++unauthorized_in_a_row == 1 && end.has_newer_token ? Duration{} : back_off.next();
    case StreamEnd::Kind::kUnusable:
      ++counts.errors;
      version.clear();
      return back_off.next();
    case StreamEnd::Kind::kBroken: break;
  }
  ++counts.errors;
  if (refusals_in_a_row >= kRefusalsMax) {
    refusals_in_a_row = 0;
    version.clear();
  }
  return std::max(back_off.next(), end.retry_after);
}

void Reflector::Following::log_end(const std::string& text) {
  if (text.empty() || cancelled() || !troubles.should_log(text)) return;
  log::warning("kubernetes: " + text + "; trying again, and the last known state stays in use");
}

void Reflector::Following::has_progressed() {
  progressed = true;
  if (troubles.recovered()) log::info(absl::StrCat("kubernetes: ", client.name(), " sends ", subject(), " again"));
}

Deadline Reflector::Following::interrupted() {
  watching = false;
  version.clear();
  ++counts.errors;
  return deadline_after(now(), kInterruptedPause);
}

Task<Deadline> Reflector::Following::step(Following& self) {
  StreamEnd end;
  if (self.version.empty()) {
    end = co_await list(self);
  } else {
    end = co_await watch(self);
  }
  const Duration pause = self.settle(end);
  co_return deadline_after(self.now(), pause);
}

Task<void> Reflector::Following::run() {
  const auto next_step = [this] { return step(*this); };
  const auto after_an_exception = [this] { return interrupted(); };
  co_await repeat("kubernetes: an exception has interrupted a list or watch; listing again", next_step, after_an_exception);
}

Reflector::Reflector(ApiClient& client, runtime::TaskGroup& group, Selection selection, Watcher& watcher)
    : following_(std::make_shared<Following>(client, std::move(selection), watcher)) {
  following_->begin(group);
}

Reflector::~Reflector() { following_->cancel(); }

bool Reflector::listed() const { return following_->listed; }
bool Reflector::forbidden() const { return following_->forbidden; }
const ReflectorCounts& Reflector::counts() const { return following_->counts; }

std::optional<TimePoint> Reflector::last_word() const {
  return following_->watching ? following_->now() : following_->heard_at;
}

}  // namespace router::kubernetes
