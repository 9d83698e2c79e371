#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace router::discovery {

/// Reasons of the condition Accepted. Some of them are reasons of the condition Ready, too.
namespace reason {
inline constexpr std::string_view kAccepted = "Accepted";
// Not accepted:
inline constexpr std::string_view kInvalid = "Invalid";  // mistakes in the newest version; the last good one may still serve
inline constexpr std::string_view kNameNotAllowed = "NameNotAllowed";
inline constexpr std::string_view kHostnameNotAllowed = "HostnameNotAllowed";
inline constexpr std::string_view kNameConflict = "NameConflict";
inline constexpr std::string_view kHostnameConflict = "HostnameConflict";
inline constexpr std::string_view kEndpointNotFound = "EndpointNotFound";
inline constexpr std::string_view kEndpointNotAccepted = "EndpointNotAccepted";
inline constexpr std::string_view kAdoptionNotAllowed = "AdoptionNotAllowed";  // adopt_azureml_pods is off
inline constexpr std::string_view kLimitExceeded = "LimitExceeded";  // the namespace has too many, or they are too large
// Accepted, but:
inline constexpr std::string_view kAuthModeUnsupported = "AuthModeUnsupported";  // every request is answered with 401
inline constexpr std::string_view kSecretMissing = "SecretMissing";              // every request is answered with 401
inline constexpr std::string_view kSecretInvalid = "SecretInvalid";              // no key, or only one of two, is in force
inline constexpr std::string_view kDeploymentsMissing = "DeploymentsMissing";    // their share is answered with 404
inline constexpr std::string_view kSlicesRefused = "SlicesRefused";              // parts of its EndpointSlices are refused
inline constexpr std::string_view kPodsRefused = "PodsRefused";                  // some of the Pods to adopt are refused
inline constexpr std::string_view kPodsForbidden = "PodsForbidden";              // the router may not read Pods
}  // namespace reason

/// The result of handling one OnlineEndpoint or OnlineDeployment: for its status, for Events and for `/status`.
struct ReconcileResult {
  enum class Kind { kEndpoint, kDeployment };
  Kind kind = Kind::kEndpoint;
  std::string namespace_name;
  std::string name;  // of the object
  std::string uid;
  std::int64_t generation = 0;  // of the version that was checked
  bool accepted = false;        // whether that version is accepted
  bool served = false;          // whether the routing table contains that version, or the last good one
  std::string reason;
  std::string message;
  std::string endpoint;                // the endpoint's name for clients; empty if it could not be read
  std::string deployment;              // for clients; empty for an endpoint
  std::map<std::string, int> traffic;  // endpoints: percent of each deployment that exists
  std::size_t replicas_ready = 0;      // deployments; neither counts the terminating ones
  std::size_t replicas_total = 0;

  bool operator==(const ReconcileResult&) const = default;
};

}  // namespace router::discovery
