# How `./dev` counts tests: each function takes the exit status of a run and its log, and prints `PASSED FAILED`.
# What is not known to have passed has failed: a skipped, disabled or expectedly failing test, a run that died, one without tests.
# tests/dev/count_test.sh feeds them with what the programs print; it runs before anything is counted.

# The number before WORD in the text on standard input; 0 if there is none.
number_before() {  # WORD
  { grep -oE "(^|[^0-9])[0-9]+ $1\b" | tail -n1 | grep -oE '[0-9]+' || echo 0; }
}

# A run that says nothing of a failure although it ended with one counts as one failed test more.
count_with_status() {  # STATUS PASSED FAILED
  local failed=$3
  if [ "$failed" -eq 0 ] && { [ "$1" -ne 0 ] || [ "$2" -eq 0 ]; }; then failed=1; fi
  echo "$2 $failed"
}

# pytest's last line: `= 10 failed, 123 passed, 1 skipped, 2 errors in 3.45s =`; with -q without the signs around it.
count_pytest() {  # STATUS LOG
  local summary word passed failed=0
  summary=$(grep -aE '^(=+ )?[0-9]+ [a-z]+(, [0-9]+ [a-z]+)* in [0-9.]+s\b' "$2" | tail -n1 || true)
  passed=$(number_before passed <<<"$summary")
  for word in failed 'errors?' skipped xfailed xpassed; do failed=$((failed + $(number_before "$word" <<<"$summary"))); done
  count_with_status "$1" "$passed" "$failed"
}

# gtest's `[==========] 12 tests from 3 test suites ran.` and `[  PASSED  ] 10 tests.`; --gtest_brief prints no number of failures.
count_gtest() {  # STATUS LOG
  local ran passed disabled
  ran=$(grep -aE '^\[==========\] .* ran\.' "$2" | number_before 'tests? from')
  passed=$(grep -aE '^\[  PASSED  \] ' "$2" | number_before 'tests?')
  disabled=$(grep -a 'YOU HAVE .* DISABLED' "$2" | number_before DISABLED)
  count_with_status "$1" "$passed" $((ran - passed + disabled))
}
