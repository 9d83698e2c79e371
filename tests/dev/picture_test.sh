#!/usr/bin/env bash
# Tests what draw_layers.py draws and refuses, in a project without sources: high uses middle and low, middle uses low.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p cmake docs router/low router/middle router/high
cp "$root"/cmake/{router_module.cmake,check_includes.cmake,draw_layers.py} cmake/
wrong=0

module() {  # FOLDER LEVEL DEPENDS...
  echo "router_module(NAME $1 LEVEL $2 DEPENDS ${*:3})" >"router/$1/CMakeLists.txt"
}
make_project() {  # [LINE]: a further line of the project, after its modules
  rm -f cmake/exceptions.txt
  cat >CMakeLists.txt <<TXT
cmake_minimum_required(VERSION 3.25)
project(picture LANGUAGES NONE)
add_library(router_options INTERFACE)
include(cmake/router_module.cmake)
add_subdirectory(router/low)
add_subdirectory(router/middle)
add_subdirectory(router/high)
add_library(router_root INTERFACE)
target_link_libraries(router_root INTERFACE router_high)
add_library(inference-router INTERFACE)
target_link_libraries(inference-router INTERFACE router_root)
${1:-}
TXT
  printf '| %s | `%s` | what it holds |\n' 0 router/low 1 middle/ 2 router/high 3 router/main.cpp >docs/architecture.md
  module low 0
  module middle 1 low
  module high 2 low middle
  cmake -G Ninja -B build . >log 2>&1
  python3 cmake/draw_layers.py build
}
complain() {
  printf 'picture_test: %s\n' "$1" >&2
  cat log >&2
  wrong=1
}
accepts() { python3 cmake/draw_layers.py build --check >log 2>&1 || complain "$1 is refused"; }  # WHAT
refuses() {  # WHAT TEXT: the whole message
  if python3 cmake/draw_layers.py build --check >log 2>&1; then complain "$1 goes through"; fi
  [ "$(cat log)" = "$2" ] || complain "$1: the message is not exactly \"$2\""
}

make_project
accepts "the project"
# `high` uses `low` also through `middle`, so that arrow is left out: only three arrows are drawn.
[ "$(grep -c 'marker-end' docs/layers.svg)" = 3 ] || complain "not three arrows are drawn"
cp docs/layers.svg first.svg
make_project
cmp first.svg docs/layers.svg || complain "the same graph is drawn in two ways"

module high 2 low
refuses "a picture of an earlier graph" "docs/layers.svg is outdated: run cmake/draw_layers.py build"
make_project
sed -i 's/| 1 | `middle/| 2 | `middle/' docs/architecture.md
refuses "a table with another level" "docs/architecture.md: middle is of level 1; the table says 2"
make_project
sed -i '/router.high/d' docs/architecture.md
refuses "a table without a module" "docs/architecture.md: high is of level 2; the table says None"

# A dependency that router_module() does not see.
make_project 'target_link_libraries(router_low INTERFACE router_aside)
add_library(router_aside INTERFACE)
set(ROUTER_LEVEL_aside 0 CACHE INTERNAL "")'
printf '| 0 | `router/aside` | |\n' >>docs/architecture.md
python3 cmake/draw_layers.py build
refuses "a dependency on the same level" "low -> aside: does not lead to a lower level"
echo 'low -> aside | a reason' >cmake/exceptions.txt
accepts "an exception"
make_project
echo 'high -> middle | a reason' >cmake/exceptions.txt
refuses "an exception that is not needed" "cmake/exceptions.txt: high -> middle is no longer an exception: remove the line"
exit "$wrong"
