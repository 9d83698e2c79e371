#pragma once

#include <boost/json/object.hpp>
#include <vector>

namespace router::kubernetes {

/// Receives the objects of one kind (of one API server, in one namespace or in all). Control thread. Objects are as the API
/// server sends them, with `metadata`; objects of a list have no `kind` member.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// The complete list: at the start, and whenever the watch could not be continued. Objects that it lacks do not exist any
  /// more.
  virtual void listed(std::vector<boost::json::object> objects) = 0;
  /// An event ADDED or MODIFIED.
  virtual void changed(boost::json::object object) = 0;
  virtual void removed(boost::json::object object) = 0;
};

}  // namespace router::kubernetes
