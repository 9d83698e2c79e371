#pragma once

#include <boost/json/object.hpp>
#include <vector>

namespace router::kubernetes {

/// Who follows the objects of one kind (on one API server, in one namespace or in all). Control thread. Objects are as the API
/// server sends them, `metadata` included; those of a list have no `kind` of their own.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// The whole list: at first, and whenever the watch could not go on from where it was. What is not in it is gone.
  virtual void listed(std::vector<boost::json::object> objects) = 0;
  /// ADDED and MODIFIED.
  virtual void changed(boost::json::object object) = 0;
  virtual void removed(boost::json::object object) = 0;
};

}  // namespace router::kubernetes
