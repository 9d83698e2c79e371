# count_allocations: a library that tests/integration/test_allocations.py and bench/load/exchange.py preload into a process. It is
# not built with a sanitizer, which has its own allocator.
include_guard(GLOBAL)
if(NOT ROUTER_SANITIZE)
  add_library(count_allocations MODULE ${CMAKE_SOURCE_DIR}/tests/support/count_allocations.cpp)
  target_link_libraries(count_allocations PRIVATE router_options)
  set_target_properties(count_allocations PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endif()
