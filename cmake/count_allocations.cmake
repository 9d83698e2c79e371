# count_allocations: put before a process by tests/integration/test_allocations.py and by bench/load/exchange.py. A sanitizer has an
# allocator of its own.
include_guard(GLOBAL)
if(NOT ROUTER_SANITIZE)
  add_library(count_allocations MODULE ${CMAKE_SOURCE_DIR}/tests/support/count_allocations.cpp)
  target_link_libraries(count_allocations PRIVATE router_options)
  set_target_properties(count_allocations PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endif()
