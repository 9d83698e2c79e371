#include "router/kubernetes/requests.h"

#include <boost/json/serialize.hpp>

namespace router::kubernetes {
namespace {

ApiRequest with_body(const char* method, std::string path, const char* content_type, const boost::json::object& object) {
  ApiRequest request;
  request.method = method;
  request.path = std::move(path);
  request.content_type = content_type;
  request.body = boost::json::serialize(object);
  return request;
}

}  // namespace

ApiRequest apply_request(const std::string& path, const boost::json::object& object) {
  // JSON is valid YAML. API servers before 1.34 accept an apply patch under this content type only.
  return with_body("PATCH", path + "?fieldManager=inference-router&force=true", "application/apply-patch+yaml", object);
}

ApiRequest create_request(const std::string& path, const boost::json::object& object) {
  return with_body("POST", path + "?fieldManager=inference-router", "application/json", object);
}

ApiRequest replace_request(const std::string& path, const boost::json::object& object, std::string_view manager) {
  return with_body("PUT", path + "?fieldManager=" + std::string(manager), "application/json", object);
}

ApiRequest merge_request(const std::string& path, const boost::json::object& change) {
  return with_body("PATCH", path + "?fieldManager=inference-router", "application/merge-patch+json", change);
}

}  // namespace router::kubernetes
