#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>

#include "router/base/failure.h"

namespace router {

/// What a step of the data path returns: its evidence, or why there is none.
template <class T>
using Result = boost::system::result<T, Failure>;

/// Found by boost::system::result when `.value()` is asked of a failure, which is our bug: the data path tests first.
[[noreturn]] inline void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
  throw std::logic_error(failure.cause);
}

}  // namespace router
