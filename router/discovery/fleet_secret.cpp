#include "router/discovery/fleet_secret.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "router/base/log.h"
#include "router/base/text.h"
#include "router/kubernetes/json.h"
#include "router/kubernetes/requests.h"

namespace router::discovery {
namespace {

namespace json = boost::json;

const kubernetes::GroupVersionResource kSecrets{"", "v1", "secrets"};
constexpr const char* kErrand = "fleet-keys";
constexpr int kKeyBytes = 32;
constexpr std::size_t kKeyDigits = std::size_t{2} * kKeyBytes;
constexpr std::size_t kLinesMax = 2;
constexpr std::chrono::seconds kNoRandomPause{5};

void wipe(std::string& secret) noexcept {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

/// Wipes a text at the end of its scope.
class Wiper {
 public:
  explicit Wiper(std::string& secret) : secret_(secret) {}
  Wiper(const Wiper&) = delete;
  Wiper& operator=(const Wiper&) = delete;
  ~Wiper() { wipe(secret_); }

 private:
  std::string& secret_;
};

/// One line with a new key; empty if the system gives no random numbers.
std::string make_key_line() {
  unsigned char bytes[kKeyBytes];
  if (RAND_bytes(bytes, kKeyBytes) != 1) return "";
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string line;
  line.reserve(kKeyDigits + 1);
  for (const unsigned char byte : bytes) {
    line += kDigits[byte >> 4U];
    line += kDigits[byte & 15U];
  }
  line += '\n';
  OPENSSL_cleanse(bytes, kKeyBytes);
  return line;
}

bool is_key(std::string_view line) {
  return line.size() == kKeyDigits && line.find_first_not_of("0123456789abcdefABCDEF") == line.npos;
}

/// The text of the member kMember, decoded; empty if there is none; nothing if it is no base64.
std::optional<std::string> keys_in(const json::object& secret) {
  const json::object* data = kubernetes::object_in(secret, "data");
  std::string encoded = data != nullptr ? kubernetes::text_in(*data, FleetSecret::kMember) : "";
  const Wiper wiper(encoded);
  std::string keys;
  if (!absl::Base64Unescape(encoded, &keys)) return std::nullopt;
  return keys;
}

}  // namespace

bool is_fleet_keys(std::string_view text) {
  std::size_t lines = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (++lines > kLinesMax || !is_key(text.substr(0, end))) return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines > 0;
}

FleetSecret::FleetSecret(kubernetes::ApiClient& client, runtime::TaskGroup& group, FleetSecretOptions options,
                         std::function<void(const std::string& keys)> changed)
    : control_(client.shard()),
      options_(std::move(options)),
      changed_(std::move(changed)),
      errands_(client, group, {.under_way_max = 1}, [] { return true; }),
      watch_(client, group, {kSecrets, options_.namespace_name, options_.name},
             [this](kubernetes::ObjectState state) { seen(std::move(state)); }) {}

FleetSecret::~FleetSecret() { wipe(keys_); }

std::string FleetSecret::subject() const {
  return absl::StrCat("the member ", kMember, " of the Secret ", options_.namespace_name, "/", options_.name);
}

void FleetSecret::troubled(std::string what) {
  if (troubles_.should_log(what)) log::warning("kubernetes: " + what);
  trouble_ = std::move(what);
}

void FleetSecret::seen(kubernetes::ObjectState state) {
  lacking_.reset();
  const char* meanwhile = has_keys() ? "; the keys before stay in use" : "; this router has no key";
  if (!state.object) {
    fill_at_.reset();
    return troubled(absl::StrCat("the Secret ", options_.namespace_name, "/", options_.name,
                                 " for the fleet's keys does not exist", meanwhile));
  }
  std::optional<std::string> keys = keys_in(*state.object);
  if (keys && keys->empty()) return fill(std::move(*state.object));
  fill_at_.reset();
  if (keys) {
    const Wiper wiper(*keys);
    if (is_fleet_keys(*keys)) return take(*keys);
  }
  troubled(absl::StrCat(subject(), " is not one line or two of ", kKeyDigits, " hex digits", meanwhile));
}

void FleetSecret::take(std::string keys) {
  const Wiper wiper(keys);
  if (keys != keys_) {
    changed_(keys);
    keys_.swap(keys);
  }
  trouble_.clear();
  troubles_.recovered();
}

void FleetSecret::fill(json::object secret) {
  lacking_ = std::move(secret);
  if (has_keys()) {
    troubled(subject() + " was removed; the keys before stay in use, and this router writes them back");
    return errands_.ask(*this, kErrand);
  }
  if (!fill_at_) fill_at_ = deadline_after(control_.now(), options_.newcomer_wait);
  control_.schedule(*this, *fill_at_);
}

void FleetSecret::expired() {
  if (lacking_) errands_.ask(*this, kErrand);
}

std::optional<kubernetes::ApiRequest> FleetSecret::request_for(const std::string&) {
  const bool waits = !has_keys() && fill_at_ && control_.now() < *fill_at_;
  if (!lacking_ || waits) return std::nullopt;
  writes_back_ = has_keys();
  std::string keys = writes_back_ ? keys_ : make_key_line();
  const Wiper wiper(keys);
  if (keys.empty()) {
    log::error("kubernetes: no key of the fleet is made: the system gives no random numbers");
    control_.schedule(*this, deadline_after(control_.now(), kNoRandomPause));
    return std::nullopt;
  }
  json::object next = *lacking_;
  json::value& data = next["data"];
  if (!data.is_object()) data = json::object();
  std::string encoded = absl::Base64Escape(keys);
  const Wiper other_wiper(encoded);
  data.get_object()[kMember] = encoded;
  return kubernetes::replace_request(kubernetes::object_path(kSecrets, options_.namespace_name, options_.name), next);
}

kubernetes::Sender::Outcome FleetSecret::answered(const std::string&, const kubernetes::ApiAnswer& answer) {
  if (answer.succeeded()) {
    log::info(absl::StrCat("kubernetes: this router has ", writes_back_ ? "written its keys back into " : "made a key in ",
                           subject()));
    refusals_.recovered();
    lacking_.reset();  // the watch shows the keys, or what became of them
    return Outcome::kDone;
  }
  // 409: another router was faster, or somebody has changed the Secret. 404: it was deleted. The watch shows the new state.
  const bool is_shown = answer.status == 409 || answer.status == 404;
  // The server's message is not logged, because it may quote the keys that were sent.
  if (!is_shown && refusals_.should_log(absl::StrCat(answer.status))) {
    const char* hint = answer.status == 403 ? ": allow the verbs list, watch and update on it" : "";
    log::warning(absl::StrCat("kubernetes: the API server refuses a write of ", subject(), " (", answer.status, ")", hint,
                              "; trying again"));
  }
  return Outcome::kAgain;
}

}  // namespace router::discovery
