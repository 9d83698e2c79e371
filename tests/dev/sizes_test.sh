#!/usr/bin/env bash
# Tests what check_sizes.py refuses, in a project of its own: a file, a function and a list of parameters that are one too long, and an
# exception that is not needed. Whatever has the maximum length is accepted.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir cmake tests
cp "$root/cmake/check_sizes.py" cmake/
git init --quiet
wrong=0

lines() { local i; for ((i = 0; i < $1; i++)); do echo "$2"; done; }  # COUNT TEXT
check() { python3 cmake/check_sizes.py >log 2>&1; }
complain() {
  printf 'sizes_test: %s\n' "$1" >&2
  cat log >&2
  wrong=1
}
accepts() { check || complain "$1 is refused"; }  # WHAT
# The check prints only TEXT, and nothing if the list has EXCEPTION with a reason. It refuses the line without a reason, and the line
# that stays when the file is gone.
refuses() {  # EXCEPTION TEXT
  local file=${1%%:*}
  if check; then complain "$1 goes through"; fi
  [ "$(cat log)" = "$2" ] || complain "$1: the message is not exactly \"$2\""
  echo "$1 | a reason" >cmake/exceptions.txt
  accepts "$1, an exception"
  echo "$1 | " >cmake/exceptions.txt
  if check || ! grep -q '^cmake/exceptions.txt:1: .* no reason$' log; then complain "an exception without a reason goes through: $1"; fi
  echo "$1 | a reason" >cmake/exceptions.txt
  rm "$file"
  if check || ! grep -q '^cmake/exceptions.txt:1: .* no longer an exception' log; then complain "a stale exception goes through: $1"; fi
  rm cmake/exceptions.txt
}
function_of() { printf '%s {\n' "$1"; lines $(($2 - 2)) '  f();'; echo '}'; }  # HEAD LINES
six='int a, const std::map<int, std::pair<int, int>>& b, int (*c)(int, int), std::array<int, 2> d = {1, 2}, int e = f(1, 2), int g = 0'

# Each has the maximum length.
lines 450 '' >long.cpp
function_of 'int Type::most(int x)' 60 >function.cpp
function_of 'TEST(Suite, TakesTheMost)' 60 >tests/suite_test.cpp
echo "class Type { virtual Task<Result<int>> most($six) const = 0; };" >parameters.h
printf 'def most(a, b, c, d, *, e, f):\n' >function.py
lines 59 '    f()' >>function.py
printf 'class Type:\n    def most(self, a, b, c, d, e, f):\n        pass\n' >method.py
printf 'def test_with(many, fixtures, which, nobody, passes, to, it):\n    pass\n' >tests/test_some.py
function_of 'most()' 60 >script.sh
lines 500 'data' >data.json
accepts "code of the maximum length"

lines 451 '' >long.cpp
refuses long.cpp "long.cpp: 451 lines; at most 450"
{ echo '#!/usr/bin/env bash'; lines 450 ''; } >door
refuses door "door: 451 lines; at most 450"
lines 451 '' >tests/test_long.py
refuses tests/test_long.py "tests/test_long.py: 451 lines; at most 450"
function_of 'int Type::most(int x)' 61 >function.cpp
refuses function.cpp:Type::most "function.cpp:1: Type::most has 61 lines; at most 60"
function_of 'TEST(Suite, TakesTheMost)' 61 >tests/suite_test.cpp
refuses tests/suite_test.cpp:Suite.TakesTheMost "tests/suite_test.cpp:1: Suite.TakesTheMost has 61 lines; at most 60"
printf 'def most(a):\n' >function.py
lines 60 '    f()' >>function.py
refuses function.py:most "function.py:1: most has 61 lines; at most 60"
function_of 'most()' 61 >script.sh
refuses script.sh:most "script.sh:1: most has 61 lines; at most 60"
echo "class Type { virtual Task<Result<int>> most($six, int h) const = 0; };" >parameters.h
refuses parameters.h:Type::most "parameters.h:1: Type::most has 7 parameters; at most 6"
printf 'class Type:\n    def most(self, a, b, c, d, e, f, *, g):\n        pass\n' >method.py
refuses method.py:Type.most "method.py:2: Type.most has 7 parameters; at most 6"

# A function that is declared and defined is reported once.
echo "int most($six, int h);" >declared.h
printf '#include "declared.h"\nint most(%s, int h) {\n  return 0;\n}\n' "$six" >declared.cpp
if check; then complain "seven parameters of a declared function go through"; fi
[ "$(cat log)" = "declared.cpp:2: most has 7 parameters; at most 6" ] || complain "a declared function is not reported exactly once"
exit "$wrong"
