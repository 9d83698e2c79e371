#include "router/discovery/key_maker.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <utility>

#include "router/base/log.h"
#include "router/discovery/resource_kinds.h"
#include "router/kubernetes/requests.h"

namespace router::discovery {
namespace {

namespace json = boost::json;

const kubernetes::GroupVersionResource kSecrets{"", "v1", "secrets"};
constexpr int kKeyBytes = 32;

std::optional<LackingKeys> lacking_of(const Cluster& cluster, const ReconcileResult& result) {
  if (result.kind != ReconcileResult::Kind::kEndpoint || !result.served) return std::nullopt;
  const auto resource = cluster.endpoints.find(ObjectKey{result.namespace_name, result.name});
  if (resource == cluster.endpoints.end() || !resource->second.good) return std::nullopt;
  const config::Endpoint& endpoint = resource->second.good->endpoint;
  if (endpoint.auth_mode != config::AuthMode::kKey) return std::nullopt;
  LackingKeys lacking{result.namespace_name, endpoint.keys_secret, result.name, result.uid, "", true, true};
  const auto found = cluster.secrets.find(ObjectKey{result.namespace_name, endpoint.keys_secret});
  if (found == cluster.secrets.end()) return lacking;
  const SecretKeys& secret = found->second;
  const bool is_ours = std::find(secret.owners.begin(), secret.owners.end(), result.uid) != secret.owners.end();
  if (!is_ours || secret.version.empty() || (secret.has_primary && secret.has_secondary)) return std::nullopt;
  lacking.version = secret.version;
  lacking.primary = !secret.has_primary;
  lacking.secondary = !secret.has_secondary;
  return lacking;
}

/// The member `data` of a Secret, with new keys; empty if the system gives no random numbers.
json::object make_data(const LackingKeys& lacking) {
  json::object data;
  const auto add = [&](bool lacks, const char* name) {
    if (!lacks) return true;
    const std::string key = make_key();
    data[name] = absl::Base64Escape(key);
    return !key.empty();
  };
  const bool complete = add(lacking.primary, "primaryKey") && add(lacking.secondary, "secondaryKey");
  return complete ? data : json::object();
}

json::object owner_of(const LackingKeys& lacking) {
  return {{"apiVersion", kOnlineEndpoints.api_version()},
          {"kind", "OnlineEndpoint"},
          {"name", lacking.endpoint},
          {"uid", lacking.endpoint_uid},
          {"controller", false},
          {"blockOwnerDeletion", false}};
}

}  // namespace

std::string make_key() {
  unsigned char bytes[kKeyBytes];
  if (RAND_bytes(bytes, kKeyBytes) != 1) return "";
  std::string key;
  absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(bytes), kKeyBytes), &key);
  OPENSSL_cleanse(bytes, kKeyBytes);
  return key;
}

std::vector<LackingKeys> find_lacking_keys(const Cluster& cluster, const std::vector<ReconcileResult>& results) {
  std::vector<LackingKeys> all;
  for (const ReconcileResult& each : results) {
    if (auto lacking = lacking_of(cluster, each)) all.push_back(std::move(*lacking));
  }
  return all;
}

void KeyMaker::set(std::vector<LackingKeys> lacking) {
  lacking_.clear();
  for (LackingKeys& each : lacking) {
    const std::string name = each.namespace_name + "/" + each.secret;
    // If two endpoints name one Secret, the first one (the older) will own it.
    if (lacking_.emplace(name, std::move(each)).second) errands_.ask(*this, name);
  }
}

std::optional<kubernetes::ApiRequest> KeyMaker::request_for(const std::string& name) {
  const auto found = lacking_.find(name);
  if (found == lacking_.end()) return std::nullopt;
  const LackingKeys& lacking = found->second;
  json::object data = make_data(lacking);
  if (data.empty()) {
    log::error("kubernetes: no keys are made: the system gives no random numbers");
    return std::nullopt;
  }
  if (!lacking.version.empty()) {
    const json::object change{{"metadata", json::object{{"resourceVersion", lacking.version}}}, {"data", std::move(data)}};
    return kubernetes::merge_request(kubernetes::object_path(kSecrets, lacking.namespace_name, lacking.secret), change);
  }
  json::object metadata{{"name", lacking.secret}, {"namespace", lacking.namespace_name}};
  metadata["ownerReferences"] = json::array{owner_of(lacking)};
  const json::object secret{{"apiVersion", "v1"},
                            {"kind", "Secret"},
                            {"metadata", std::move(metadata)},
                            {"type", "Opaque"},
                            {"data", std::move(data)}};
  return kubernetes::create_request(kubernetes::collection_path(kSecrets, lacking.namespace_name), secret);
}

kubernetes::Sender::Outcome KeyMaker::answered(const std::string& name, const kubernetes::ApiAnswer& answer) {
  const auto found = lacking_.find(name);
  if (found == lacking_.end()) return Outcome::kDone;
  const std::string subject = absl::StrCat("the Secret ", name, " of OnlineEndpoint ", found->second.endpoint);
  const bool creates = found->second.version.empty();
  // 409: the Secret has changed or was created by another writer. 404: it was deleted. The watch shows the new state.
  if (answer.succeeded() || answer.status == 409 || (answer.status == 404 && !creates)) {
    if (answer.succeeded()) log::info(absl::StrCat("kubernetes: new keys in ", subject));
    if (answer.succeeded()) refusals_.recovered();
    lacking_.erase(found);
    return Outcome::kDone;
  }
  // The server's message is not logged, because it may quote the keys that were sent.
  if (refusals_.should_log(found->second.namespace_name)) {
    const char* hint = answer.status == 403 ? ": allow the verbs create and patch on secrets there" : "";
    log::warning(absl::StrCat("kubernetes: the API server refuses new keys in ", subject, " (", answer.status, ")", hint,
                              "; trying again"));
  }
  return Outcome::kAgain;
}

}  // namespace router::discovery
