#include "router/serving/tls_material.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

namespace router::serving {
namespace {

using config::Findings;
using config::Location;
using tls::FileMistake;
using Certificates = std::vector<TlsInForce::Certificate>;

const Location& location_of(const config::Certificate& certificate, FileMistake::Role role) {
  switch (role) {
    case FileMistake::Role::kKey: return certificate.key_location;
    case FileMistake::Role::kPassword: return certificate.password_location;
    case FileMistake::Role::kCertificate:
    case FileMistake::Role::kTicketKey: break;
  }
  return certificate.certificate_location;
}

/// The certificates whose files are all named; a missing name was reported when router.yaml was read.
std::vector<const config::Certificate*> named_certificates(const config::TlsOptions& settings) {
  std::vector<const config::Certificate*> named;
  for (const config::Certificate& each : settings.certificates) {
    if (!each.certificate_file.empty() && !each.key_file.empty()) named.push_back(&each);
  }
  return named;
}

const TlsInForce::Certificate* find(const Certificates& certificates, const tls::CertificateFiles& files) {
  const auto found = std::find_if(certificates.begin(), certificates.end(),
                                  [&files](const TlsInForce::Certificate& each) { return each.files == files; });
  return found == certificates.end() ? nullptr : &*found;
}

/// Searches all listeners: their certificates were read from the same files at the same time.
tls::SharedCredential find(const TlsInForce& in_force, const tls::CertificateFiles& files) {
  for (const auto& [name, certificates] : in_force.certificates) {
    if (const auto* found = find(certificates, files)) return found->credential;
  }
  return nullptr;
}

std::string shown_time(std::chrono::sys_seconds time) {
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm utc{};
  char text[40];
  ::gmtime_r(&seconds, &utc);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc)};
}

/// A warning if the certificate's files are right but clients that check it refuse it now; otherwise empty.
std::string warning_of_time(const tls::CertificateInfo& info) {
  const std::chrono::sys_seconds now = tls::wall_clock();
  if (now > info.not_after) {
    return absl::StrCat(info.file, ": the certificate expired on ", shown_time(info.not_after),
                        "; it is loaded, but clients that check it refuse it");
  }
  if (now < info.not_before) {
    return absl::StrCat(info.file, ": the certificate begins on ", shown_time(info.not_before),
                        "; it is loaded, and used from then on, or if there is no other");
  }
  return "";
}

/// Reads the certificates of one listener: each as its files hold it now, or as it is in force.
class ListenerCertificates {
 public:
  ListenerCertificates(const config::Listener& listener, const TlsInForce& in_force, ReadingFor what_for, Findings& findings)
      : listener_(listener), in_force_(in_force), findings_(findings), may_stay_(what_for == ReadingFor::kReload) {}

  Certificates read(RefusedFiles& refused) {
    const std::vector<const config::Certificate*> named = named_certificates(*listener_.tls);
    Certificates certificates;
    std::optional<std::size_t> index_of_unknown;
    for (std::size_t index = 0; index < named.size(); ++index) {
      const tls::CertificateFiles files{named[index]->certificate_file, named[index]->key_file, named[index]->password_file};
      const std::size_t told = mistakes_.size();
      tls::SharedCredential credential = tls::load_credential(files, index, mistakes_);
      if (!credential) {
        refused.certificates.push_back(files);
        credential = may_stay_ ? find(in_force_, files) : nullptr;
        if (!credential && !index_of_unknown) index_of_unknown = certificates.size();
        endings_.resize(told);
        endings_.resize(mistakes_.size(), credential ? "; the one that is in force stays" : "");
      }
      if (credential) certificates.push_back({files, std::move(credential)});
    }
    const bool others_stay = may_stay_ && index_of_unknown && keep_others(certificates, *index_of_unknown);
    for (std::string& each : endings_) {
      if (each.empty()) each = others_stay ? "; those that are in force stay" : "; it is left out until it can be used";
    }
    report(named, !may_stay_ || certificates.empty());
    warn_of_times(named, certificates);
    return certificates;
  }

 private:
  /// Keeps all certificates in force if a new one, which may replace one of them, cannot be used. Whether it kept any.
  bool keep_others(Certificates& certificates, std::size_t index) const {
    const auto before = in_force_.certificates.find({listener_.address, listener_.port});
    if (before == in_force_.certificates.end()) return false;
    const std::size_t index_before = index;
    for (const TlsInForce::Certificate& each : before->second) {
      if (find(certificates, each.files) != nullptr) continue;
      certificates.insert(certificates.begin() + static_cast<std::ptrdiff_t>(index++), each);
    }
    return index > index_before;
  }

  void report(const std::vector<const config::Certificate*>& named, bool refuse) {
    for (std::size_t i = 0; i < mistakes_.size(); ++i) {
      const Location& location = location_of(*named[mistakes_[i].index], mistakes_[i].role);
      if (refuse) {
        findings_.mistake(location, std::move(mistakes_[i].text));
      } else {
        findings_.warning(location, absl::StrCat(mistakes_[i].text, endings_[i]));
      }
    }
  }

  void warn_of_times(const std::vector<const config::Certificate*>& named, const Certificates& certificates) {
    for (const TlsInForce::Certificate& each : certificates) {
      std::string warning = warning_of_time(tls::info_of(*each.credential));
      if (warning.empty()) continue;
      const auto names_it = [&each](const config::Certificate* other) {
        return other->certificate_file == each.files.certificate_file;
      };
      const auto found = std::find_if(named.begin(), named.end(), names_it);
      findings_.warning(found != named.end() ? (*found)->certificate_location : listener_.location, std::move(warning));
    }
  }

  const config::Listener& listener_;
  const TlsInForce& in_force_;
  Findings& findings_;
  const bool may_stay_;
  std::vector<FileMistake> mistakes_;
  std::vector<std::string> endings_;  // of the messages, in the order of `mistakes_`
};

std::vector<std::shared_ptr<tls::ServerContext>> make_contexts(const config::Listener& listener,
                                                               const Certificates& certificates,
                                                               const std::shared_ptr<tls::TicketKeys>& ticket_keys,
                                                               std::size_t shards, Findings& findings) {
  if (certificates.empty()) return {};  // reported already
  tls::ServerOptions options;
  options.tls13_only = listener.tls->minimum_version == "1.3";
  std::vector<tls::SharedCredential> credentials;
  for (const TlsInForce::Certificate& each : certificates) credentials.push_back(each.credential);
  auto contexts = tls::ServerContext::make(options, credentials, ticket_keys, shards);
  if (contexts.ok()) return std::move(*contexts);
  findings.mistake(listener.location, std::string(contexts.status().message()));
  return {};
}

/// One set for all listeners, since a client may resume its session at any of them.
std::shared_ptr<tls::TicketKeys> read_ticket_keys(const config::Process& process, Findings& findings) {
  std::vector<std::string> files;
  std::vector<Location> locations;
  for (const config::Listener& listener : process.listeners) {
    if (!listener.tls) continue;
    const config::TlsOptions& settings = *listener.tls;
    files.insert(files.end(), settings.ticket_key_files.begin(), settings.ticket_key_files.end());
    locations.insert(locations.end(), settings.ticket_key_locations.begin(), settings.ticket_key_locations.end());
  }
  std::vector<FileMistake> mistakes;
  auto keys = tls::TicketKeys::make(files, &mistakes);
  for (FileMistake& each : mistakes) findings.mistake(locations[each.index], std::move(each.text));
  return keys.ok() ? std::move(*keys) : nullptr;
}

}  // namespace

bool can_be_used(const RefusedFiles& refused) {
  std::vector<FileMistake> mistakes;
  for (const tls::CertificateFiles& each : refused.certificates) {
    if (tls::load_credential(each, 0, mistakes)) return true;
  }
  for (const config::UpstreamTls& each : refused.authorities) {
    if (ClientContexts(0).get(each).ok()) return true;
  }
  return false;
}

TlsMaterial read_tls(const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                     const TlsInForce& in_force, const ReadTlsOptions& options, Findings& findings) {
  TlsMaterial material;
  material.ticket_keys = read_ticket_keys(process, findings);
  for (const config::Listener& listener : process.listeners) {
    material.listeners.emplace_back();
    if (!listener.tls) continue;
    Certificates certificates = ListenerCertificates(listener, in_force, options.what_for, findings).read(material.refused);
    material.listeners.back() = make_contexts(listener, certificates, options.ticket_keys, options.shards, findings);
    Certificates& all = material.in_force.certificates[{listener.address, listener.port}];
    all.insert(all.end(), certificates.begin(), certificates.end());
  }
  // Read again each time: the files of authorities, and the system's trust store, may have changed.
  material.in_force.authorities = std::make_shared<ClientContexts>(options.shards);
  UnusableAuthorities unusable;
  unusable.is_mistake = options.what_for == ReadingFor::kCheck;
  unusable.in_force = in_force.authorities.get();
  material.transports = load_transports(deployments, *material.in_force.authorities, findings, unusable);
  material.refused.authorities = std::move(unusable.refused);
  return material;
}

}  // namespace router::serving
