# The steps of `./dev check`, and their order. `./dev` sources this file for that command only.

sources() { git ls-files 'config/*.cpp' 'config/*.h' 'tls/*.cpp' 'tls/*.h' 'router/**/*.cpp' 'router/**/*.h' 'router/*.cpp' 'router/*.h' 'tests/**/*.cpp' 'tests/**/*.h' 'bench/**/*.cpp' 'bench/**/*.h'; }
# Whether a tool whose results depend on its version is installed. If not, the last lines say which check did not run.
has_tool() {  # TOOL WHAT
  command -v "$1" >/dev/null && return 0
  ! on_debian_12 || die "$1 is missing"
  not_run+=("$2: NOT RUN here, only on Debian 12")
  say "$2: NOT RUN, only on Debian 12: other versions than $1 judge otherwise"
  return 1
}
check_sizes() { python3 cmake/check_sizes.py; }
check_format() {
  has_tool clang-format-14 "format" || return 0
  sources | xargs clang-format-14 --dry-run --Werror
}
check_headers() { build dev all_verify_interface_header_sets; }
check_layers() { python3 cmake/draw_layers.py build/dev --check && python3 cmake/draw_path.py --check; }  # after `build dev`
check_cppcheck() { cppcheck --quiet --std=c++20 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -j"$(nproc)" --suppressions-list=.cppcheck-suppressions -I. config tls router; }
# A source through which clang-tidy sees a header: the source of the same name, or the first one that includes it, directly or through
# other headers.
source_for() {  # HEADER [DEPTH]
  local depth=${2:-0} user found
  if [ -f "${1%.h}.cpp" ]; then echo "${1%.h}.cpp"; return; fi
  [ "$depth" -lt 5 ] || return 0
  local users
  users=$(git grep --untracked -lF "#include \"$1\"" -- 'config/*' 'tls/*' 'router/*' 'tests/unit/*' | sort)
  user=$(grep '\.cpp$' <<<"$users" | grep -v '^tests/' | head -n1)
  [ -n "$user" ] || user=$(grep '\.cpp$' <<<"$users" | head -n1)
  if [ -n "$user" ]; then echo "$user"; return; fi
  for user in $users; do
    found=$(source_for "$user" $((depth + 1)))
    if [ -n "$found" ]; then echo "$found"; return; fi
  done
}
changed_since() {  # COMMIT; also lists new files
  git diff --name-only --diff-filter=d "$1" -- config tls router
  git ls-files --others --exclude-standard -- config tls router
}
# The sources that have changed since CHECK_BASE (the commit in .ci/tidy.commit, at which every source was clean), and for a changed header a
# source that includes it; with --all, all.
tidy_sources() {
  local base=${CHECK_BASE:-$(cat .ci/tidy.commit)} file found
  if [ "${1:-}" = --all ] || ! git rev-parse --quiet --verify "$base" >/dev/null; then
    git ls-files 'config/*.cpp' 'tls/*.cpp' 'router/**/*.cpp' 'router/*.cpp'
  else
    for file in $(changed_since "$base"); do
      case $file in
        *.cpp) echo "$file" ;;
        *.h)
          found=$(source_for "$file")
          [ -n "$found" ] || die "no source includes $file: clang-tidy cannot see it"
          echo "$found"
          ;;
      esac
    done
  fi | sort -u
}
# The analyzer takes more than half of clang-tidy's time: only --all runs it.
check_tidy() {  # [--all]
  local files checks=-clang-analyzer-*
  if [ "${1:-}" = --all ]; then checks=''; fi
  has_tool clang-tidy-16 "clang-tidy" || return 0
  files=$(tidy_sources "$@") || return 1
  [ -n "$files" ] || { say "no source has changed"; return 0; }
  echo "$(wc -l <<<"$files") files" >&2
  # GCC's command lines have warnings that clang does not know, and a precompiled header that it cannot read.
  mkdir -p build/tidy
  sed -E 's/ -Winvalid-pch -include [^ ]+cmake_pch\.hxx//' build/dev/compile_commands.json >build/tidy/compile_commands.json
  xargs -P"$(nproc)" -n2 clang-tidy-16 -p build/tidy --quiet --checks="$checks" --extra-arg=-Wno-unknown-warning-option <<<"$files" 2>/dev/null
}
check_address_sanitizer() {  # [--all]
  if ! on_debian_12; then
    # GCC 14 with -fsanitize=undefined cannot compile the hash tables of Debian 13's abseil.
    not_run+=("asan and ubsan: NOT RUN here, only on Debian 12")
    say "asan and ubsan: NOT RUN, only on Debian 12"
    return 0
  fi
  check_sanitized asan "$@"
}
# Tests that measure or load the machine, and those of several routers, run under a sanitizer only with --all.
check_sanitized() {  # PRESET [--all]
  timed "building ($1)" build "$1"
  timed "unit tests ($1)" run_unit_tests "$1"
  if [ "${2:-}" = --all ]; then
    run_in_two_parts "$1" integration
    timed "fleet tests, two at once ($1)" run_parallel_tests "$1" fleet -m "not serial"
  else
    timed "integration tests, two at once ($1)" run_parallel_tests "$1" integration -m "not serial"
  fi
  not_run+=("counting of allocations: NOT RUN under $1, whose allocator is another; \`./dev test\` runs it")
}
check() {
  git rev-parse --git-dir >/dev/null || die "check asks git which files are the project's: this is no clone"
  timed "sizes" check_sizes
  timed "format" check_format
  timed "headers compile alone" check_headers
  timed "layers" check_layers
  timed "cppcheck" check_cppcheck
  timed "clang-tidy" check_tidy "$@"
  check_address_sanitizer "$@"
  check_sanitized tsan "$@"
  finish_tests
}
