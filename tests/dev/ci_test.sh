#!/usr/bin/env bash
# Tests the last lines of .ci/run. A script in place of `./dev` prints given results for each stage.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/.ci"
cp "$root/.ci/run" "$work/.ci/run"
wrong=0

expect() {  # WHAT STATUS LAST_LINE TEST CHECK FUZZ: the commands of the stages
  printf '#!/usr/bin/env bash\ncase $* in\n  test) %s ;;\n  "test --kubernetes") echo 7 passed, 0 failed ;;\n  other-debian) echo 20 passed, 0 failed ;;\n  check) %s ;;\n  fuzz*) %s ;;\nesac\n' "${@:4}" >"$work/dev"
  chmod +x "$work/dev"
  local status=0
  "$work/.ci/run" >"$work/log" 2>&1 || status=$?
  if [ "$status" = "$2" ] && [ "$(tail -n1 "$work/log")" = "$3" ] && [ "$(grep -cE '^stage (test|kubernetes|other-debian|check|fuzz): [0-9]+\.[0-9] min' "$work/log")" = 5 ]; then
    return 0
  fi
  printf 'ci_test: %s: exit status %d, log:\n' "$1" "$status" >&2
  cat "$work/log" >&2
  wrong=1
}

expect "all good" 0 "177 passed, 0 failed" "echo 100 passed, 0 failed" "echo 50 passed, 0 failed" "echo nothing found"
expect "failed tests" 1 "167 passed, 10 failed" "echo 90 passed, 10 failed; exit 1" "echo 50 passed, 0 failed" "echo nothing found"
expect "a failed build" 1 "77 passed, 1 failed" "echo building; exit 1" "echo 50 passed, 0 failed" "echo nothing found"
expect "a failure after good tests" 1 "177 passed, 1 failed" "echo 100 passed, 0 failed" "echo 50 passed, 0 failed; exit 3" "echo nothing found"
expect "a finding" 1 "177 passed, 1 failed" "echo 100 passed, 0 failed" "echo 50 passed, 0 failed" "echo FOUND something; exit 1"
expect "a stage that is killed" 1 "77 passed, 1 failed" 'kill -9 $$' "echo 50 passed, 0 failed" "echo nothing found"
expect "several counts, the last of which holds" 0 "87 passed, 0 failed" "echo 5 passed, 0 failed; echo 10 passed, 0 failed" "echo 50 passed, 0 failed" "true"

# The last lines name the failed tests again, however much the later stages print.
printf '#!/usr/bin/env bash\ncase $* in test) echo FAILED test_of_mine; exit 1 ;; fuzz*) seq 1000 ;; *) echo 5 passed, 0 failed ;; esac\n' >"$work/dev"
"$work/.ci/run" >"$work/log" 2>&1 || true
if ! tail -n 20 "$work/log" | grep -q 'FAILED test_of_mine'; then echo "ci_test: the end does not name what failed" >&2; wrong=1; fi

# The stage that runs beside another one fails as loudly as any.
printf '#!/usr/bin/env bash\ncase $* in other-debian) echo warning: unused; exit 1 ;; *) echo 5 passed, 0 failed ;; esac\n' >"$work/dev"
if "$work/.ci/run" >"$work/log" 2>&1 || [ "$(tail -n1 "$work/log")" != "20 passed, 1 failed" ] || ! tail -n 20 "$work/log" | grep -q 'warning: unused'; then
  echo "ci_test: a stage beside another one failed, and the end does not say so" >&2
  cat "$work/log" >&2
  wrong=1
fi

# The table before the last line has every stage, followed by the parts that the stage reports.
printf '#!/usr/bin/env bash\necho 5 passed, 0 failed; case $1 in check) echo "part unit tests (tsan): 12.3 min"; echo "no part of it: 4.5 min" ;; esac\n' >"$work/dev"
"$work/.ci/run" >"$work/log" 2>&1 || true
wanted="    0.0 min  test
    0.0 min  kubernetes
    0.0 min  other-debian
    0.0 min  check
   12.3 min    unit tests (tsan)
    0.0 min  fuzz
    0.0 min  all stages

25 passed, 0 failed"
if [ "$(tail -n 9 "$work/log")" != "$wanted" ]; then printf 'ci_test: the table is not right:\n%s\n' "$(tail -n 9 "$work/log")" >&2; wrong=1; fi
exit "$wrong"
