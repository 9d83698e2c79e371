#!/usr/bin/env bash
# Tests which uses of modules router_module() refuses, in a project without sources: high uses middle, middle uses low.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
wrong=0

header() {  # FOLDER INCLUDE...: writes the module's header with these lines
  local folder=$1
  shift
  mkdir -p "router/$folder"
  printf '%s\n' '#pragma once' '' '#include <string>' "$@" >"router/$folder/$folder.h"
}
module() {  # FOLDER LEVEL DEPENDS...
  echo "router_module(NAME $1 LEVEL $2 DEPENDS ${*:3})" >"router/$1/CMakeLists.txt"
}
make_project() {
  cat >CMakeLists.txt <<TXT
cmake_minimum_required(VERSION 3.25)
project(layers LANGUAGES NONE)
add_library(router_options INTERFACE)
include($root/cmake/router_module.cmake)
add_subdirectory(router/low)
add_subdirectory(router/middle)
add_subdirectory(router/aside)
add_subdirectory(router/high)
TXT
  mkdir -p cmake
  cp "$root/cmake/check_includes.cmake" cmake/
  header low
  header aside
  header middle '#include "router/low/low.h"'
  header high '#include "router/middle/middle.h"' '#include "router/low/low.h"'
  module low 0
  module middle 1 low
  module aside 1 low
  module high 2 middle
}
configure() { cmake -G Ninja -B build . >log 2>&1; }
build() {
  local status=0
  cmake --build build >log 2>&1 || status=$?
  # File times have a resolution of about 10 ms: a file that is written in the same step is not newer than the build.
  touch built
  for _ in {1..1000}; do
    touch written
    [ written -nt built ] && break
  done
  return "$status"
}

accepts() {  # WHAT COMMAND
  "$2" && return 0
  printf 'layers_test: %s is refused\n' "$1" >&2
  cat log >&2
  wrong=1
}
refuses() {  # WHAT TEXT COMMAND
  if "$3"; then
    printf 'layers_test: %s goes through\n' "$1" >&2
  elif ! tr -s ' \n' ' ' <log | grep -qF "$2"; then  # CMake wraps its messages
    printf 'layers_test: %s is refused without the message "%s"\n' "$1" "$2" >&2
    cat log >&2
  else
    return 0
  fi
  wrong=1
}
refuses_include() {  # WHAT FOLDER INCLUDED...: the last include is the mistake
  local line=$((3 + $# - 2))
  header "$2" "${@:3}"
  refuses "$1" "router/$2/$2.h:$line: module router_$2 may not include" build
  make_project
  accepts "the project after: $1" build
}

make_project
accepts "the project" configure
accepts "the project" build
refuses_include "a module of a higher level" low '#include "router/high/high.h"'
refuses_include "a lower module that is not declared" high '#include "router/middle/middle.h"' '#include "router/aside/aside.h"'
refuses_include "a module of the same level" aside '#include "router/low/low.h"' '' '#include "router/middle/middle.h"'
refuses_include "the composition root" high '#include "router/root/router.h"'
refuses_include "a module in angle brackets" low '#include <router/high/high.h>'
refuses_include "spaces in the directive" low '  #  include "router/high/high.h"'
refuses_include "a path that begins in the folder" high '#include "../aside/aside.h"'
refuses_include "a test's header" low '#include "tests/support/test_shard.h"'

module low 0 middle
refuses "DEPENDS on a module that comes later" "'middle' is not a module" configure
module low 0
module aside 1 middle
refuses "DEPENDS on the same level" "only lower levels" configure
echo 'aside -> middle | ' >cmake/exceptions.txt
refuses "an exception without a reason" "only lower levels" configure
echo 'aside -> middle | a reason' >cmake/exceptions.txt
accepts "an exception" configure
exit "$wrong"
