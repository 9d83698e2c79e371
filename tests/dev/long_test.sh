#!/usr/bin/env bash
# Tests .ci/long and the file of its results. A script in place of `./dev` prints given results for each part.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p .ci tests/fuzz
cp "$root/.ci/long" .ci/
touch tests/fuzz/{one,two,three}_fuzz.cpp
wrong=0
door() { printf '#!/usr/bin/env bash\necho "$*" >>"%s/asked"\n%s\n' "$work" "$1" >dev; chmod +x dev; }  # WHAT IT DOES
quietly() { git -c init.defaultBranch=main -c user.name=test -c user.email=test@example.com "$@" >/dev/null; }
complain() {
  printf 'long_test: %s; results:\n' "$1" >&2
  cat .ci/long.result log >&2 2>/dev/null || true
  wrong=1
}
run() { .ci/long "$@" >log 2>&1 && status=0 || status=$?; }
door true
printf '/log\n/asked\n' >.gitignore
quietly init
quietly add .
quietly commit -m one
commit=$(git rev-parse --short=12 HEAD)
today=$(date +%F)

run --results
[ "$status" = 0 ] && ! grep -v ': never run$' log && [ ! -e .ci/long.result ] || complain "parts that never ran are reported as if they had run"

door 'echo 1 passed, 0 failed; echo 3 passed, 0 failed'
quietly commit -am two
commit=$(git rev-parse --short=12 HEAD)
run chaos=5
[ "$status" = 0 ] && [ "$(cat .ci/long.result)" = "chaos passed $today $commit 0 3 passed, 0 failed" ] || complain "a part that passed is not in the file"
grep -qx 'chaos 5' asked || complain "chaos does not run for the requested time"
grep -qx "long tests, chaos: last run $today, commit $commit, passed after 0 min (3 passed, 0 failed)" log || complain "a part that passed is not reported"
grep -qx 'long tests, fuzz: never run' log || complain "a part that was not requested is reported as if it had run"

door 'case $1 in bench) exit 3 ;; *) echo 5 passed, 2 failed; exit 1 ;; esac'
quietly commit -am three
run bench image
[ "$status" = 1 ] || complain "a failed part is no failure"
grep -q "^bench failed $today [0-9a-f]* 0$" .ci/long.result || complain "a part that ended without a count is not reported as failed"
grep -q "^image failed $today [0-9a-f]* 0 5 passed, 2 failed$" .ci/long.result || complain "failed tests are not reported"
grep -q "^chaos passed $today $commit 0 3 passed, 0 failed$" .ci/long.result || complain "the result of another part has changed"

echo >>dev
door 'echo 4 passed, 0 failed'
run chaos
grep -q "^chaos passed $today [0-9a-f]*+ 0 4 passed, 0 failed$" .ci/long.result || complain "changes that are not committed are not reported"
[ "$(grep -c '^chaos ' .ci/long.result)" = 1 ] || complain "a part has two results"

nproc=$(nproc)
run fuzz=12
grep -qx "fuzz $(awk -v rounds=$(((3 + nproc - 1) / nproc)) 'BEGIN {print 12 / rounds}')" asked || complain "the time for all targets is not divided among them"

door 'sleep 60'
before=$(cat .ci/long.result)
begun=$SECONDS
run image=0.01
[ "$status" = 1 ] && [ $((SECONDS - begun)) -lt 30 ] && grep -q '^image failed ' .ci/long.result || complain "a part that hangs is not ended"

door 'touch began; sleep 60'
rm -f began
before=$(cat .ci/long.result)
setsid .ci/long kubernetes >log 2>&1 &
long=$!
for _ in {1..200}; do [ -e began ] && break; sleep 0.05; done
kill -TERM -- -"$long"
wait "$long" && complain "an interrupted run passed"
[ "$(cat .ci/long.result)" = "$before" ] || complain "a part that was interrupted has a result"

for bad in "what" "fuzz=" "fuzz=much" "chaos=-1"; do
  run "$bad"
  [ "$status" = 2 ] && [ "$(cat .ci/long.result)" = "$before" ] || complain "'$bad' is not refused"
done
exit "$wrong"
