#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>

#include "router/base/failure.h"

namespace router {

/// The result of a step of the data path: a value, or why there is none.
template <class T>
using Result = boost::system::result<T, Failure>;

/// boost::system::result calls this when `.value()` is called on a failure. That is our bug: the data path tests first.
[[noreturn]] inline void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
  throw std::logic_error(failure.cause);
}

}  // namespace router
