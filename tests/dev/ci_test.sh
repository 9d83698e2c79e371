#!/usr/bin/env bash
# The last line of .ci/run, with a door that says what the stages of a day might say.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/.ci"
cp "$root/.ci/run" "$work/.ci/run"
wrong=0

expect() {  # WHAT STATUS LAST_LINE TEST CHECK FUZZ: the commands of the stages
  printf '#!/usr/bin/env bash\ncase $* in\n  test) %s ;;\n  "test --kubernetes") echo 7 passed, 0 failed ;;\n  check) %s ;;\n  fuzz*) %s ;;\nesac\n' "${@:4}" >"$work/dev"
  chmod +x "$work/dev"
  local status=0
  "$work/.ci/run" >"$work/log" 2>&1 || status=$?
  if [ "$status" = "$2" ] && [ "$(tail -n1 "$work/log")" = "$3" ] && [ "$(grep -cE '^stage (test|kubernetes|check|fuzz): [0-9]+\.[0-9] min' "$work/log")" = 4 ]; then
    return 0
  fi
  printf 'ci_test: %s: exit status %d, log:\n' "$1" "$status" >&2
  cat "$work/log" >&2
  wrong=1
}

expect "all good" 0 "157 passed, 0 failed" "echo 100 passed, 0 failed" "echo 50 passed, 0 failed" "echo nothing found"
expect "failed tests" 1 "147 passed, 10 failed" "echo 90 passed, 10 failed; exit 1" "echo 50 passed, 0 failed" "echo nothing found"
expect "a failed build" 1 "57 passed, 1 failed" "echo building; exit 1" "echo 50 passed, 0 failed" "echo nothing found"
expect "a failure after good tests" 1 "157 passed, 1 failed" "echo 100 passed, 0 failed" "echo 50 passed, 0 failed; exit 3" "echo nothing found"
expect "a finding" 1 "157 passed, 1 failed" "echo 100 passed, 0 failed" "echo 50 passed, 0 failed" "echo FOUND something; exit 1"
expect "a stage that is killed" 1 "57 passed, 1 failed" 'kill -9 $$' "echo 50 passed, 0 failed" "echo nothing found"
expect "several counts, the last of which holds" 0 "67 passed, 0 failed" "echo 5 passed, 0 failed; echo 10 passed, 0 failed" "echo 50 passed, 0 failed" "true"

# What failed is told again at the end, however much the later stages print.
printf '#!/usr/bin/env bash\ncase $* in test) echo FAILED test_of_mine; exit 1 ;; fuzz*) seq 1000 ;; *) echo 5 passed, 0 failed ;; esac\n' >"$work/dev"
"$work/.ci/run" >"$work/log" 2>&1 || true
if ! tail -n 20 "$work/log" | grep -q 'FAILED test_of_mine'; then echo "ci_test: the end does not name what failed" >&2; wrong=1; fi
exit "$wrong"
