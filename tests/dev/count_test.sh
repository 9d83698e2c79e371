#!/usr/bin/env bash
# Tests tests/support/count.py. The test is not counted by it: if it fails, `./dev` ends, because its counts could not be trusted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
file=$(mktemp)
trap 'rm -f "$file"' EXIT
wrong=0

expect() {  # WHAT STATUS PASSED_AND_FAILED [NAME...]: the expected counts and names (patterns) for the file on standard input
  local what=$1 status=$2 counts=$3 got
  cat >"$file"
  shift 3
  got=$(python3 tests/support/count.py "$status" "$file")
  if [ "${got%%$'\n'*}" = "$counts" ] && [ "$(tail -n +2 <<<"$got" | wc -l)" = $# ]; then
    while [ $# -gt 0 ] && tail -n +2 <<<"$got" | grep -qE "^  $1"; do shift; done
    [ $# -gt 0 ] || return 0
  fi
  printf 'count_test: %s: counted "%s", not "%s"%s\n' "$what" "$got" "$counts" "${1:+ with $1}" >&2
  wrong=1
}
# The programs' files, without the parts that are not read. pytest puts its suite into <testsuites>, GoogleTest writes one for each suite.
pytest() { printf '<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="9">%s</testsuite></testsuites>' "$1"; }
gtest() { printf '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites tests="9" name="AllTests"><testsuite name="Queue" tests="9">%s</testsuite></testsuites>\n' "$1"; }
case_of() { printf '<testcase classname="tests.integration.test_slots" name="%s" time="0.01">%s</testcase>' "$1" "${2:-}"; }
run_of() { printf '<testcase name="%s" status="run" result="completed" time="0." classname="Queue">%s</testcase>' "$1" "${2:-}"; }

expect "all pass" 0 "2 0" < <(pytest "$(case_of test_a)$(case_of test_b)")
expect "every other end" 1 "1 5" "FAILED tests.integration.test_slots.test_b - assert 1 == 2" "ERROR .*test_c" "ERROR .*test_d - collection failure" \
  "SKIPPED .*test_e - no such tool" "XFAIL .*test_f" < <(pytest "$(case_of test_a)$(case_of test_b '<failure message="assert 1&#10; == 2">long</failure>')$(
    case_of test_c '<error message="failed on teardown">long</error>')$(case_of test_d '<error message="collection failure">long</error>')$(
    case_of test_e '<skipped type="pytest.skip" message="no such tool">x</skipped>')$(case_of test_f '<skipped type="pytest.xfail" message="" />')")
expect "interrupted after good tests" 2 "1 1" "the run ended with exit status 2" < <(pytest "$(case_of test_a)")
expect "no test" 5 "0 1" "the run ended with exit status 5" < <(pytest "")
expect "no test, but success" 0 "0 1" "the run ended with exit status 0" < <(pytest "")
expect "dead before the file" 137 "0 1" "no result of any test" </dev/null
expect "a file cut short" 0 "0 1" "no result of any test" < <(pytest "$(case_of test_a)" | head -c 100)

expect "all pass" 0 "2 0" < <(gtest "$(run_of A)$(run_of B)")
expect "failures" 1 "1 1" "FAILED Queue.B - queue_test.cpp:7 Failure" < <(gtest "$(run_of A)$(run_of B '<failure message="queue_test.cpp:7&#x0A;Failure" type=""></failure>')")
expect "a message with what XML does not allow" 1 "1 1" "FAILED Queue.B - \?\?" < <(gtest "$(run_of A)$(run_of B $'<failure message="\x01\xef\xbf\xbe\xff" type=""/>')")
expect "a test that fails twice" 1 "0 1" "FAILED Queue.A" < <(gtest "$(run_of A '<failure message="x" type=""/><failure message="y" type=""/>')")
expect "a skipped test" 0 "1 1" "SKIPPED Queue.B" < <(gtest "$(run_of A)"'<testcase name="B" status="run" result="skipped" classname="Queue"><skipped message=""/></testcase>')
expect "a disabled test" 0 "1 1" "DISABLED Queue.DISABLED_B" < <(gtest "$(run_of A)"'<testcase name="DISABLED_B" status="notrun" result="suppressed" classname="Queue" />')
expect "dead at the end (a leak, say)" 1 "2 1" "the run ended with exit status 1" < <(gtest "$(run_of A)$(run_of B)")
rm "$file"
read -r got < <(python3 tests/support/count.py 134 "$file" 2>&1)
if [ "$got" != "0 1" ]; then
  echo "count_test: dead on the way: a missing file is not one failed test" >&2
  wrong=1
fi
exit "$wrong"
