#!/usr/bin/env bash
# Runs the fuzz targets, as many at once as the machine has cores (docs/fuzzing.md):
#
#   tests/fuzz/run.sh BUILD_DIR MINUTES [TARGET...]   looks for new inputs; BUILD_DIR is one of the preset `fuzz`
#   tests/fuzz/run.sh --planted [TARGET...]           builds with a bug in each parser: every target must find its own within 60 s
#   tests/fuzz/run.sh --coverage [TARGET...]          builds with counters: every target must reach 80 % of its parsers' lines
#
# A run begins with the findings that an earlier run left in the build folder and with the seeds, and then tries new inputs.
# Inputs that cover new code are kept in BUILD_DIR/fuzz/TARGET/corpus, where the next run finds them. The last line is
# `N passed, M failed`, which counts targets; the exit status is 1 if any failed. A run names the file of each finding: the binary
# with that file as its only argument repeats it. An input that has found a bug belongs into seeds/TARGET, with a unit test.
set -euo pipefail

usage() {
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
planted_seconds=60  # time in which a planted bug must be found
coverage_seconds=60  # time of fuzzing if no earlier run has left a corpus
coverage_percent=80

dictionary_of() {
  case $1 in
    differential_fuzz | head_fuzz | messages_fuzz | resolve_fuzz) echo http ;;
    *) echo "${1%_fuzz}" ;;
  esac
}
# The longest input in bytes: a little more than the limits that it can reach.
longest_of() {
  case $1 in
    head_fuzz | messages_fuzz | differential_fuzz) echo 12000 ;;  # more fields than a head may have
    body_fuzz) echo 10000 ;;                                      # trailers have at most 8 KB
    proxy_protocol_fuzz) echo 600 ;;                              # a header has at most 536
    tls_fuzz) echo 600 ;;                                         # steps of a conversation, not bytes
    *) echo 4096 ;;
  esac
}
# The files that a target tests. The first one has the target's planted bug.
parsers_of() {
  case $1 in
    body_fuzz) echo router/http/body_decoder.cpp ;;
    config_fuzz)
      echo config/yaml_document.cpp config/reader.cpp config/expand.cpp config/addresses.cpp config/azureml.cpp \
        config/azureml_endpoint.cpp config/azureml_deployment.cpp config/join.cpp config/overlay.cpp config/router_yaml.cpp
      ;;
    credential_fuzz) echo tls/credential.cpp ;;
    differential_fuzz) echo router/http1/message_output.cpp router/http1/message_input.cpp router/proxy/heads.cpp ;;
    fleet_frame_fuzz) echo router/fleet_link/frame.cpp ;;
    fleet_note_fuzz) echo router/scaling/signals_text.cpp router/fleet/note.cpp ;;
    head_fuzz) echo router/http/parse_head.cpp router/http/head.cpp router/http/target.cpp router/http/known_fields.cpp ;;
    kubeconfig_fuzz) echo router/kubernetes/kubeconfig.cpp ;;
    messages_fuzz) echo router/http/framing.cpp router/http/body_decoder.cpp ;;
    proxy_protocol_fuzz) echo router/proxy/proxy_protocol.cpp ;;
    resource_fuzz) echo router/convert/yaml_text.cpp config/resource.cpp router/convert/convert.cpp router/convert/pods.cpp ;;
    resolve_fuzz) echo router/routing/resolve.cpp router/http/target.cpp ;;
    tls_fuzz) echo tls/session.cpp tls/stream.cpp tls/cause.cpp ;;
    watch_fuzz) echo router/kubernetes/watch_events.cpp router/kubernetes/list_page.cpp router/kubernetes/json.cpp ;;
    *) echo "$1 is not listed in parsers_of" >&2; return 1 ;;
  esac
}

build_preset() {  # PRESET
  [ -f "$root/build/$1/build.ninja" ] || (cd "$root" && cmake --preset "$1" >/dev/null)
  cmake --build "$root/build/$1" --target fuzz_targets -- -j"$(nproc)" >&2
}

passed=0
failed=0
# Runs COMMAND for each target, as many at once as the machine has cores. REPORT prints each result, and fails if the target failed.
for_each_target() {  # COMMAND REPORT
  local name
  running=()
  for name in "${targets[@]}"; do
    [ ${#running[@]} -lt "$(nproc)" ] || reap "$2"
    "$1" "$name" &
    running[$!]=$name
  done
  while [ ${#running[@]} -gt 0 ]; do reap "$2"; done
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
}
reap() {  # REPORT
  local ended status=0 name
  wait -n -p ended "${!running[@]}" || status=$?
  name=${running[$ended]}
  unset "running[$ended]"
  if "$1" "$name" "$status"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# --- new inputs ----------------------------------------------------------------------------------------------------------------
limits_of() { echo -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len="$(longest_of "$1")" "-dict=$here/dictionaries/$(dictionary_of "$1").dict"; }

run_target() {  # NAME
  local name=$1 work=$build/fuzz/$1 binary=$build/tests/fuzz/$1 limits
  read -ra limits <<<"$(limits_of "$name")"
  mkdir -p "$work/corpus" "$work/findings"
  limits+=("-artifact_prefix=$work/findings/")
  local earlier=("$work"/findings/*)
  if [ -e "${earlier[0]}" ]; then
    "$binary" "${limits[@]}" "${earlier[@]}" >"$work/log" 2>&1 || return 1
    rm -f "${earlier[@]}"
  fi
  # `exec` replaces this shell, so that the trap below reaches the binary.
  exec "$binary" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 "$work/corpus" "$here/seeds/$name" >"$work/log" 2>&1
}
report_target() {  # NAME STATUS
  local name=$1 log=$build/fuzz/$1/log executions coverage
  executions=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)$/\1/p' "$log")
  coverage=$(grep -aoE 'cov: [0-9]+' "$log" | tail -n1 | cut -d' ' -f2)
  printf '%-20s %12s executions  %6s edges  %5s inputs kept  ' "$name" "${executions:-?}" "${coverage:-?}" \
    "$(find "$build/fuzz/$name/corpus" -type f | wc -l)"
  if [ "$2" -eq 0 ]; then
    echo "nothing found"
    return 0
  fi
  echo "FOUND something"
  grep -aE 'does not hold|our bug|ERROR: |runtime error|SUMMARY|^ +#[0-9]+ .*\.(cpp|h):[0-9]+' "$log" | head -n 12 || tail -n 12 "$log"
  find "$build/fuzz/$name/findings" -type f -printf "  shown by: $build/tests/fuzz/$name %p\n"
  echo "  log: $log"
  return 1
}

# --- planted bugs ----------------------------------------------------------------------------------------------------------------
# Starts from the seeds alone, with a bug in the target's first parser, and with the same random numbers each time.
run_planted() {  # NAME
  local name=$1 work=$build/planted/$1 limits
  read -ra limits <<<"$(limits_of "$name")"
  rm -rf "$work"
  mkdir -p "$work/corpus"
  date +%s.%N >"$work/begun"
  read -r parser _ <<<"$(parsers_of "$name")"
  export ROUTER_PLANTED_FILE=/$parser
  exec "$build/tests/fuzz/$name" "${limits[@]}" "-artifact_prefix=$work/" -seed=1 -max_total_time="$planted_seconds" "$work/corpus" "$here/seeds/$name" \
    >"$work/log" 2>&1
}
report_planted() {  # NAME STATUS
  local name=$1 work=$build/planted/$1 found
  read -r parser _ <<<"$(parsers_of "$name")"
  found=$(grep -aoE "$parser:[0-9]+: our bug: \"?planted: .*" "$work/log" | head -n1 || true)
  if [ -n "$found" ]; then
    printf '%-20s found after %5.1f s  %s\n' "$name" "$(awk -v begun="$(cat "$work/begun")" -v now="$(date +%s.%N)" 'BEGIN {print now - begun}')" "$found"
    return 0
  fi
  printf '%-20s NOT FOUND within %d s: the bug in %s  (log: %s)\n' "$name" "$planted_seconds" "$parser" "$work/log"
  return 1
}

# --- coverage --------------------------------------------------------------------------------------------------------------------
run_coverage() {  # NAME
  local name=$1 work=$build/coverage/$1 corpus=$root/build/fuzz/fuzz/$1/corpus binary=$build/tests/fuzz/$1 limits
  read -ra limits <<<"$(limits_of "$name")"
  mkdir -p "$work/corpus"
  if [ -z "$(ls -A "$corpus" 2>/dev/null)" ]; then
    corpus=$work/corpus
    LLVM_PROFILE_FILE=/dev/null "$binary" "${limits[@]}" "-artifact_prefix=$work/" -max_total_time="$coverage_seconds" "$corpus" "$here/seeds/$name" >"$work/log" 2>&1 || return 1
  fi
  LLVM_PROFILE_FILE=$work/profile.raw "$binary" "${limits[@]}" "-artifact_prefix=$work/" -runs=0 "$corpus" "$here/seeds/$name" \
    >"$work/log" 2>&1 || return 1
  "$(newest llvm-profdata)" merge -sparse "$work/profile.raw" -o "$work/profile"
  "$(newest llvm-cov)" export -summary-only -instr-profile="$work/profile" "$binary" >"$work/summary.json"
}
report_coverage() {  # NAME STATUS
  local name=$1 work=$build/coverage/$1
  if [ "$2" -ne 0 ]; then
    printf '%-20s FAILED  (log: %s)\n' "$name" "$work/log"
    return 1
  fi
  # shellcheck disable=SC2046
  python3 - "$work/summary.json" "$name" "$coverage_percent" $(parsers_of "$name") <<'PYTHON'
import json, sys
summary, name, wanted, parsers = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
files = {entry["filename"]: entry["summary"]["lines"] for entry in json.load(open(summary))["data"][0]["files"]}
found = {parser: next((lines for path, lines in files.items() if path.endswith("/" + parser)), None) for parser in parsers}
missing = [parser for parser, lines in found.items() if lines is None]
total = sum(lines["count"] for lines in found.values() if lines)
percent = 100 * sum(lines["covered"] for lines in found.values() if lines) / max(total, 1)
each = ", ".join(f"{parser} {lines['percent']:.0f}" for parser, lines in found.items() if lines)
verdict = f"MISSING: {missing}" if missing else "TOO LITTLE" if percent < wanted else ""
print(f"{name:20} {percent:5.1f} % of {total:4} lines  {each}  {verdict}".rstrip())
sys.exit(1 if verdict else 0)
PYTHON
}

# The names of Debian's programs end in the version of LLVM.
newest() { compgen -c "$1" | grep -E "^$1(-[0-9]+)?\$" | sort -V | tail -n1; }

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
symbolizer=$(newest llvm-symbolizer || true)  # with it, reports name functions and lines
[ -z "$symbolizer" ] || export ASAN_SYMBOLIZER_PATH=${ASAN_SYMBOLIZER_PATH:-$(command -v "$symbolizer")}

case "${1:-}" in
  --planted | --coverage)
    preset=fuzz-${1#--}
    command=run_${1#--}
    report=report_${1#--}
    shift
    build_preset "$preset"
    build=$root/build/$preset
    ;;
  -* | '') usage ;;
  *)
    [ $# -ge 2 ] || usage
    command=run_target
    report=report_target
    build=$(cd "$1" && pwd)
    seconds=$(awk -v minutes="$2" 'BEGIN {s = int(minutes * 60); print s < 1 ? 1 : s}')
    shift 2
    ;;
esac
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in "$here"/*_fuzz.cpp; do
    name=$(basename "$source" .cpp)
    if [ "$name" = differential_fuzz ] && [ ! -x "$build/tests/fuzz/$name" ]; then
      echo "differential_fuzz is left out: it needs libhttp-parser-dev, which Debian 12 has" >&2
    else
      targets+=("$name")
    fi
  done
fi
for name in "${targets[@]}"; do
  [ -x "$build/tests/fuzz/$name" ] || { echo "$build/tests/fuzz/$name is not built" >&2; exit 2; }
done

declare -a running=()
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
for_each_target "$command" "$report"
