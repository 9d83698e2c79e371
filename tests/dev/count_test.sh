#!/usr/bin/env bash
# The self-check of tests/support/count.sh. It is not counted with it: if it fails, `./dev` ends, for no count is worth anything.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/support/count.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
wrong=0

expect() {  # WHAT EXPECTED FUNCTION STATUS; the log on standard input
  cat >"$log"
  local got
  got=$("$3" "$4" "$log")
  [ "$got" = "$2" ] && return 0
  printf 'count_test: %s: %s says passed and failed are "%s", not "%s"\n' "$1" "$3" "$got" "$2" >&2
  wrong=1
}

expect "all pass" "123 0" count_pytest 0 <<<'============================= 123 passed in 45.67s ============================='
expect "quiet" "123 0" count_pytest 0 <<<'123 passed in 45.67s'
expect "over a minute" "200 0" count_pytest 0 <<<'======= 200 passed, 1 warning in 123.45s (0:02:03) ======='
expect "numbers of several digits" "123 10" count_pytest 1 <<<'10 failed, 123 passed in 3.45s'
expect "every word" "45 68" count_pytest 1 <<<'== 10 failed, 45 passed, 12 skipped, 3 deselected, 13 xfailed, 22 xpassed, 3 warnings, 11 errors in 3.45s =='
expect "one error" "7 1" count_pytest 1 <<<'7 passed, 1 error in 0.10s'
expect "a skipped test" "7 1" count_pytest 0 <<<'7 passed, 1 skipped in 0.10s'
expect "an error while collecting" "0 1" count_pytest 2 <<<'1 error in 0.10s'
expect "interrupted after good tests" "7 1" count_pytest 2 <<<'!!!! KeyboardInterrupt !!!!
7 passed in 0.10s'
expect "no test" "0 1" count_pytest 5 <<<'no tests ran in 0.01s'
expect "killed" "0 1" count_pytest 137 <<<'tests/integration/test_slots.py ......  [ 12%]'
expect "no log, but success" "0 1" count_pytest 0 </dev/null
expect "a test that prints a summary and is killed" "5 1" count_pytest 137 <<<'5 passed in 1.00s'
expect "words of a test before the summary" "2 1" count_pytest 1 <<<'E   assert "99 passed in 1s, 3 failed"
99 passed of 100 here
1 failed, 2 passed in 0.10s'

expect "all pass" "12 0" count_gtest 0 <<<'[==========] 12 tests from 3 test suites ran. (15 ms total)
[  PASSED  ] 12 tests.'
expect "one test" "1 0" count_gtest 0 <<<'[==========] 1 test from 1 test suite ran. (0 ms total)
[  PASSED  ] 1 test.'
expect "failures, brief" "110 13" count_gtest 1 <<<'[  FAILED  ] Line.IsFair (0 ms)
[==========] 123 tests from 3 test suites ran. (15 ms total)
[  PASSED  ] 110 tests.'
expect "failures, in full" "1 1" count_gtest 1 <<<'[==========] Running 2 tests from 1 test suite.
[==========] 2 tests from 1 test suite ran. (0 ms total)
[  PASSED  ] 1 test.
[  FAILED  ] 1 test, listed below:
[  FAILED  ] Line.IsFair

 1 FAILED TEST'
expect "a skipped test" "1 1" count_gtest 0 <<<'[==========] 2 tests from 1 test suite ran. (0 ms total)
[  PASSED  ] 1 test.
[  SKIPPED ] 1 test.'
expect "disabled tests" "4 12" count_gtest 0 <<<'[==========] 4 tests from 1 test suite ran. (0 ms total)
[  PASSED  ] 4 tests.
  YOU HAVE 12 DISABLED TESTS'
expect "dead on the way" "0 1" count_gtest 134 <<<'Running main() from gmock_main.cc'
expect "dead at the end (a leak, say)" "4 1" count_gtest 1 <<<'[==========] 4 tests from 1 test suite ran. (0 ms total)
[  PASSED  ] 4 tests.'
expect "no test" "0 1" count_gtest 0 <<<'[==========] 0 tests from 0 test suites ran. (0 ms total)
[  PASSED  ] 0 tests.'
exit "$wrong"
