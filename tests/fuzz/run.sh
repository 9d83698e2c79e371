#!/usr/bin/env bash
# Runs every fuzz target of a build for so many minutes (fractions allowed), as many at once as there are cores:
#
#   cmake --preset fuzz && cmake --build build/fuzz --target fuzz_targets && tests/fuzz/run.sh build/fuzz 5 [TARGET...]
#
# First come the findings that an earlier run left in the build folder and the seeds, then new inputs. What covers new code is
# kept in BUILD_DIR/fuzz/TARGET/corpus, so that the next run goes on from there. Ends with 1 if any target has found something,
# and names the file that shows it; running the binary with that file alone repeats it. An input that once found a bug belongs
# into seeds/TARGET, with a unit test.
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
build=$(cd "$1" && pwd)
seconds=$(awk -v minutes="$2" 'BEGIN {s = int(minutes * 60); print s < 1 ? 1 : s}')
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in "$here"/*_fuzz.cpp; do targets+=("$(basename "$source" .cpp)"); done
fi

dictionary_of() {
  case $1 in
    head_fuzz | messages_fuzz | resolve_fuzz) echo http ;;
    *) echo "${1%_fuzz}" ;;
  esac
}
# The longest input in bytes: a little more than the limits that it can reach.
longest_of() {
  case $1 in
    head_fuzz | messages_fuzz) echo 12000 ;;  # more fields than a head may have
    body_fuzz) echo 10000 ;;                  # trailers of more than 8 KB
    proxy_protocol_fuzz) echo 600 ;;          # a header has at most 536
    *) echo 4096 ;;
  esac
}

run_target() {  # NAME
  local name=$1 work=$build/fuzz/$1 binary=$build/tests/fuzz/$1
  mkdir -p "$work/corpus" "$work/findings"
  local limits=(-timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 "-artifact_prefix=$work/findings/")
  local earlier=("$work"/findings/*)
  if [ -e "${earlier[0]}" ]; then
    "$binary" "${limits[@]}" "${earlier[@]}" >"$work/log" 2>&1 || return 1
    rm -f "${earlier[@]}"
  fi
  # In the place of this shell, so that the trap below reaches it.
  exec "$binary" "${limits[@]}" -max_len="$(longest_of "$name")" -dict="$here/dictionaries/$(dictionary_of "$name").dict" \
    -max_total_time="$seconds" -print_final_stats=1 "$work/corpus" "$here/seeds/$name" >"$work/log" 2>&1
}

report() {  # NAME STATUS
  local name=$1 log=$build/fuzz/$1/log executions coverage
  executions=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)$/\1/p' "$log")
  coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -n1 | cut -d' ' -f2)
  printf '%-20s %12s executions  %6s edges  %5s inputs kept  ' "$name" "${executions:-?}" "${coverage:-?}" \
    "$(find "$build/fuzz/$name/corpus" -type f | wc -l)"
  if [ "$2" -eq 0 ]; then
    echo "nothing found"
    return 0
  fi
  echo "FOUND something"
  grep -aE 'ERROR: |runtime error|SUMMARY|^ +#[0-9]+ .*\.(cpp|h):[0-9]+' "$log" | head -n 12 || tail -n 12 "$log"
  find "$build/fuzz/$name/findings" -type f -printf "  shown by: $build/tests/fuzz/$name %p\n"
  echo "  log: $log"
  return 1
}

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
# With it, a report names functions and lines; Debian's name has the version of LLVM.
symbolizer=$(compgen -c llvm-symbolizer | sort -V | tail -n1 || true)
[ -z "$symbolizer" ] || export ASAN_SYMBOLIZER_PATH=${ASAN_SYMBOLIZER_PATH:-$(command -v "$symbolizer")}
for name in "${targets[@]}"; do
  [ -x "$build/tests/fuzz/$name" ] || { echo "$build/tests/fuzz/$name is not built" >&2; exit 2; }
done

# A batch of as many as there are cores; each reports in its turn.
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
found=0
for ((first = 0; first < ${#targets[@]}; first += $(nproc))); do
  batch=("${targets[@]:first:$(nproc)}")
  pids=()
  for name in "${batch[@]}"; do
    run_target "$name" &
    pids+=($!)
  done
  for i in "${!batch[@]}"; do
    status=0
    wait "${pids[$i]}" || status=$?
    report "${batch[$i]}" "$status" || found=1
  done
done
exit "$found"
