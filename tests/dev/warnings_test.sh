#!/usr/bin/env bash
# Tests that a warning ends the build of every preset that tests use, but not the build of a user's `release`, whose compiler may have
# other warnings. The project has one source, and the presets and options of the router.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$root/CMakePresets.json" .
cp -r "$root/cmake" .
cat >CMakeLists.txt <<'TXT'
cmake_minimum_required(VERSION 3.25)
project(warnings LANGUAGES CXX)
include(cmake/options.cmake)
add_executable(warned warned.cpp)
target_link_libraries(warned PRIVATE router_options)
TXT
echo 'int main() { int nobody_reads_it; }' >warned.cpp
wrong=0

complain() {
  printf 'warnings_test: %s\n' "$1" >&2
  cat log >&2
  wrong=1
}
build() { cmake --preset "$1" >log 2>&1 && cmake --build "build/$1" >>log 2>&1; }  # PRESET

build release || complain "a warning ends the build of release"
grep -q 'nobody_reads_it.*Wunused-variable' log || complain "the build of release does not print the warning"
for preset in dev bench asan tsan coverage; do
  if build "$preset"; then complain "a warning does not end the build of $preset"; fi
  grep -q 'nobody_reads_it.*Werror=unused-variable' log || complain "the build of $preset does not end with the warning"
done
# clang may be missing, so the preset `fuzz` is only configured, with this machine's compiler.
cmake --preset fuzz -D CMAKE_TOOLCHAIN_FILE= >log 2>&1 && grep -qx 'ROUTER_WARNINGS_ARE_ERRORS:.*=ON' build/fuzz/CMakeCache.txt \
  || complain "a warning does not end the build of fuzz"
exit "$wrong"
