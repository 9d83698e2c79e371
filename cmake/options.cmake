# Compiler, warnings and sanitizers: what every target of the project shares.
option(ROUTER_TESTS "Build the tests" ON)
option(ROUTER_BENCH "Build the benchmarks" OFF)
option(ROUTER_FUZZ "Build the fuzz targets (clang only)" OFF)
option(ROUTER_CHECKS "Internal invariants are checked at run time (queues, slots, shard affinity)" ON)
option(ROUTER_PLANT_BUGS "Each parser has a bug for its fuzz target to find (tests/fuzz/run.sh --planted)" OFF)
option(ROUTER_WARNINGS_ARE_ERRORS "A warning ends the build: for the presets that tests run with, not for a user's compiler, which may know new ones" OFF)
option(ROUTER_COVERAGE "Lines that ran are counted (clang only; tests/fuzz/run.sh --coverage)" OFF)
set(ROUTER_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=: address,undefined or thread")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)  # 1 to 2 % of a request's CPU (docs/performance.md)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(router_options INTERFACE)
target_include_directories(router_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(router_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  $<$<BOOL:${ROUTER_WARNINGS_ARE_ERRORS}>:-Werror>
  $<$<NOT:$<CONFIG:Release>>:-fno-omit-frame-pointer>)
target_compile_definitions(router_options INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_NO_TS_EXECUTORS BOOST_ASIO_DISABLE_BOOST_COROUTINE
  BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=32
  $<$<BOOL:${ROUTER_CHECKS}>:ROUTER_CHECKS=1>
  $<$<BOOL:${ROUTER_PLANT_BUGS}>:ROUTER_PLANT_BUGS=1>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 gives false warnings about its own inlined standard library and coroutine frames.
  target_compile_options(router_options INTERFACE -Wno-maybe-uninitialized -Wno-mismatched-new-delete -Wno-restrict -Wno-stringop-overread)
endif()
if(CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  target_link_options(router_options INTERFACE -Wno-error)  # the warnings about the whole program differ between compiler releases
endif()
if(ROUTER_SANITIZE)
  target_compile_options(router_options INTERFACE -fsanitize=${ROUTER_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(router_options INTERFACE -fsanitize=${ROUTER_SANITIZE})
  # With a sanitizer, abseil (since Debian 13) changes the layout of its hash tables, which does not match the packaged library.
  target_compile_definitions(router_options INTERFACE ROUTER_SANITIZED=1 NDEBUG_SANITIZER=1)
  if(ROUTER_SANITIZE MATCHES "thread")
    # Asio orders its queues with fences, which ThreadSanitizer does not support; GCC warns at each use.
    target_compile_options(router_options INTERFACE -Wno-tsan)
  endif()
endif()
if(ROUTER_FUZZ)
  # Reports to libFuzzer which branches an input took. Only the fuzz targets are linked with its main().
  target_compile_options(router_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(router_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(ROUTER_COVERAGE)
  target_compile_options(router_options INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(router_options INTERFACE -fprofile-instr-generate)
endif()
