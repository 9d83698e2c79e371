#!/usr/bin/env bash
# Tests `./dev test` in a project of a few tests with every kind of result: its counts, the tests that it names, and its lines on long tests.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p bin .ci build/dev/tests tests/dev tests/support tests/integration tests/conformance
cp "$root/dev" .
cp "$root/.ci/long" .ci/
cp "$root/tests/support/count.py" tests/support/
touch CMakePresets.json build/dev/build.ninja
printf '#!/bin/sh\nexit 0\n' | tee tests/dev/count_test.sh bin/cmake >build/dev/inference-router
# The test does not depend on installed packages: this program reports every package as installed.
printf '#!/usr/bin/env bash\nfor package in "${@:3}"; do echo "installed $package"; done\n' >bin/dpkg-query
# Behaves like a program of GoogleTest: it writes the requested file at its end.
cat >unit_some <<'TXT'
#!/usr/bin/env bash
for option in "$@"; do case $option in --gtest_output=xml:*) file=${option#*xml:} ;; esac; done
echo '<testsuites><testsuite name="Some"><testcase name="A" status="run" classname="Some"/><testcase name="B" status="run" classname="Some"/></testsuite></testsuites>' >"$file"
TXT
chmod +x bin/* tests/dev/count_test.sh build/dev/inference-router unit_some
echo "$work/unit_some" >build/dev/tests/unit_tests.txt
cat >tests/integration/conftest.py <<'TXT'
def pytest_configure(config):
    config.addinivalue_line("markers", "serial: alone")
TXT
cat >tests/integration/test_alone.py <<'TXT'
import os
import pytest


@pytest.mark.serial
def test_that_measures_runs_without_others():
    assert "PYTEST_XDIST_WORKER" not in os.environ


def test_that_does_not_measure_runs_beside_others():
    assert "PYTEST_XDIST_WORKER" in os.environ
TXT
echo 'def test_of_conformance(): pass' >tests/conformance/test_some.py
wrong=0

run() { PATH="$work/bin:$PATH" ./dev "$@" >log 2>&1 && status=0 || status=$?; }
expect() {  # WHAT STATUS LAST_LINE TEXT...: the end of the run, and patterns that its last lines must match
  local what=$1 text
  if [ "$status" != "$2" ] || ! tail -n1 log | grep -qxE "$3"; then
    printf 'door_test: %s: exit status %d, log:\n' "$what" "$status" >&2
    cat log >&2
    wrong=1
  fi
  for text in "${@:4}"; do
    if ! tail -n 40 log | grep -qE "$text"; then
      printf 'door_test: %s: the last lines do not match "%s":\n' "$what" "$text" >&2
      tail -n 40 log >&2
      wrong=1
    fi
  done
}

run test
expect "all good" 0 "6 passed, 0 failed" "^long tests, fuzz: never run$" "^long tests, chaos: never run$"

if [ "$(. /etc/os-release && echo "${VERSION_ID:-}")" = 12 ]; then
  mkdir tests/servers
  echo 'def test_of_a_server(): pass' >tests/servers/test_some.py
  run test --servers
  expect "the servers alone" 0 "1 passed, 0 failed"
fi

cat >tests/integration/test_ends.py <<'TXT'
import pytest


def test_that_fails(): assert False
@pytest.mark.skip
def test_that_is_skipped(): pass
def test_that_passes(): pass
@pytest.fixture
def broken(): raise OSError
def test_whose_fixture_breaks(broken): pass
@pytest.mark.xfail
def test_that_is_known_to_fail(): assert False
@pytest.mark.serial
def test_alone_that_fails(): assert False
@pytest.mark.xfail
def test_that_passes_against_expectation(): pass
TXT
echo 'fuzz passed 2026-11-29 0123456789ab 120 13 passed, 0 failed' >.ci/long.result
run test
expect "every other end" 1 "7 passed, 6 failed" "FAILED .*test_that_passes_against_expectation" "FAILED .*test_that_fails" "ERROR .*test_whose_fixture_breaks" \
  "SKIPPED .*test_that_is_skipped" "XFAIL .*test_that_is_known_to_fail" "FAILED .*test_alone_that_fails" \
  "^long tests, fuzz: last run 2026-11-29, commit 0123456789ab, passed after 120 min \(13 passed, 0 failed\)$" "^long tests, chaos: never run$"

rm tests/integration/test_ends.py
# A test that ends its process. The other tests of this process are not known to have passed.
printf 'import os\nimport signal\ndef test_that_ends_its_process(): os.kill(os.getpid(), signal.SIGKILL)\n' >tests/integration/test_broken.py
run test
expect "a test that ends its process" 1 "[56] passed, [1-9] failed" "ERROR .*test_that_ends_its_process"

echo 'def test_of_another(: pass' >tests/integration/test_broken.py
run test
expect "a file that cannot be read" 1 "5 passed, 2 failed" "ERROR .*test_broken"

rm tests/integration/test_broken.py
printf '#!/bin/sh\nkill -9 $$\n' >unit_some
run test
expect "unit tests that end their process, with the file of the run before" 1 "4 passed, 1 failed" "no result of any test"
exit "$wrong"
