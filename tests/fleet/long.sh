# Sourced by ./dev: the tests of several routers at full length, which `.ci/long fleet` runs.

# 100,000 requests that wait, at 95 % load, in three routers: the order of service is that of arrival. It fails on a machine that is too busy to
# tell.
check_order_of_many() {
  local status=0
  build bench inference-router bench_stub bench_client count_allocations
  within 20m python3 bench/load/fleet.py build/bench/inference-router build/bench --parts waiting --contenders "three routers" \
    --utilisation 0.95 --mean-ms 20 --arrivals 120000 --rounds 1 || status=$?
  if [ "$status" -eq 0 ]; then add_counts "order of many" 1 0; else add_counts "order of many" 0 1; fi
}
run_fleet_long() {  # MINUTES of random faults, for each of the two ways to be a fleet
  setup kubernetes
  timed "the cluster's programs" tests/kubernetes/build.sh >&2 || die "the cluster is not built: nothing was run"
  build dev inference-router
  FLEET_SECONDS=$(awk -v minutes="$1" 'BEGIN {print minutes * 60}')
  export FLEET_SECONDS
  timed "random faults, fixed peers" run_python_tests dev fleet faults -s -k random_faults
  timed "random faults, Lease" run_python_tests dev kubernetes faults -s -k random_faults
  timed "order" check_order_of_many
}
