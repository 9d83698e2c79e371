#include "router/tls_material.h"

#include <string>
#include <utility>

namespace router {
namespace {

using config::Findings;
using config::Place;
using tls::FileMistake;

const Place& place_of(const config::Certificate& certificate, FileMistake::Role role) {
  switch (role) {
    case FileMistake::Role::kKey: return certificate.key_place;
    case FileMistake::Role::kPassword: return certificate.password_place;
    case FileMistake::Role::kCertificate:
    case FileMistake::Role::kTicketKey: break;
  }
  return certificate.certificate_place;
}

/// Without the certificates of which a file is not named: that was told when router.yaml was read.
std::vector<const config::Certificate*> named_certificates(const config::TlsOptions& settings) {
  std::vector<const config::Certificate*> named;
  for (const config::Certificate& each : settings.certificates) {
    if (!each.certificate_file.empty() && !each.key_file.empty()) named.push_back(&each);
  }
  return named;
}

std::vector<std::shared_ptr<tls::ServerContext>> read_listener(const config::TlsOptions& settings,
                                                               const std::shared_ptr<tls::TicketKeys>& ticket_keys,
                                                               std::size_t shards, const Place& place, Findings& findings) {
  const std::vector<const config::Certificate*> certificates = named_certificates(settings);
  if (certificates.empty()) return {};
  tls::ServerOptions options;
  for (const config::Certificate* each : certificates) {
    options.certificates.push_back({each->certificate_file, each->key_file, each->password_file});
  }
  options.tls13_only = settings.minimum_version == "1.3";
  std::vector<FileMistake> mistakes;
  auto contexts = tls::ServerContext::make(options, ticket_keys, shards, &mistakes);
  for (FileMistake& each : mistakes) findings.mistake(place_of(*certificates[each.index], each.role), std::move(each.text));
  if (contexts.ok()) return std::move(*contexts);
  if (mistakes.empty()) findings.mistake(place, std::string(contexts.status().message()));
  return {};
}

/// One set for all listeners: a client may come back to any of them.
std::shared_ptr<tls::TicketKeys> read_ticket_keys(const config::Process& process, Findings& findings) {
  std::vector<std::string> files;
  std::vector<Place> places;
  for (const config::Listener& listener : process.listeners) {
    if (!listener.tls) continue;
    const config::TlsOptions& settings = *listener.tls;
    files.insert(files.end(), settings.ticket_key_files.begin(), settings.ticket_key_files.end());
    places.insert(places.end(), settings.ticket_key_places.begin(), settings.ticket_key_places.end());
  }
  std::vector<FileMistake> mistakes;
  auto keys = tls::TicketKeys::make(files, &mistakes);
  for (FileMistake& each : mistakes) findings.mistake(places[each.index], std::move(each.text));
  return keys.ok() ? std::move(*keys) : nullptr;
}

}  // namespace

TlsMaterial read_tls(const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                     const std::shared_ptr<tls::TicketKeys>& ticket_keys_in_force, std::size_t shards, Findings& findings) {
  TlsMaterial material;
  material.ticket_keys = read_ticket_keys(process, findings);
  for (const config::Listener& listener : process.listeners) {
    material.listeners.emplace_back();
    if (!listener.tls) continue;
    material.listeners.back() = read_listener(*listener.tls, ticket_keys_in_force, shards, listener.place, findings);
  }
  ClientContexts contexts(shards);  // anew each time: a file of authorities, and the system's, may have changed
  material.transports = LiveDeployments::load_transports(deployments, contexts, findings);
  return material;
}

}  // namespace router
