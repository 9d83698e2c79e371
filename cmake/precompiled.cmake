# router_precompiled(TARGET [tests]): with ROUTER_PRECOMPILED, TARGET's sources begin with headers that were parsed once for all targets, which
# saves about a second for each source. What users build, and the fuzz targets, do without: their builds find a missing #include.
option(ROUTER_PRECOMPILED "The most used headers of libraries are compiled once" OFF)
option(ROUTER_UNITED_TESTS "Several unit tests of a folder are compiled as one source" OFF)

# From a precompiled header GCC 12 with a sanitizer gives warnings of its own library's inlined copies, which it hides otherwise.
if(ROUTER_PRECOMPILED AND ROUTER_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(router_options INTERFACE -Wno-array-bounds -Wno-stringop-overflow)
endif()
set(router_precompiled_headers
  <algorithm> <array> <chrono> <cstdint> <functional> <map> <memory> <optional> <set> <string> <string_view> <unordered_map> <utility> <vector>
  <absl/status/statusor.h> <absl/strings/str_cat.h>)

# A program's sources are compiled as PIE, a library's as PIC, and GCC accepts a precompiled header only with the same options. So there are two.
function(router_precompiled target)
  if(NOT ROUTER_PRECOMPILED)
    return()
  endif()
  set(owner router_precompiled)
  if(ARGN STREQUAL "tests")
    set(owner router_precompiled_tests)
  endif()
  if(NOT TARGET ${owner})
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${owner}.cpp CONTENT "// Owns a precompiled header.\n")  # written only if it differs
    if(owner STREQUAL "router_precompiled")
      add_library(${owner} STATIC ${CMAKE_BINARY_DIR}/${owner}.cpp)
      target_link_libraries(${owner} PRIVATE router_options absl::statusor absl::strings)
      target_precompile_headers(${owner} PRIVATE ${router_precompiled_headers})
    else()
      add_executable(${owner} ${CMAKE_BINARY_DIR}/${owner}.cpp)
      target_link_libraries(${owner} PRIVATE router_options absl::statusor absl::strings GTest::gtest_main GTest::gmock)
      target_precompile_headers(${owner} PRIVATE ${router_precompiled_headers} <gmock/gmock.h> <gtest/gtest.h>)
    endif()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()
