#!/usr/bin/env bash
# The router from its image, in place of the binary: ROUTER_BINARY=tests/image/run.sh. Must run within tests/support/own_machine.sh.
# As restricted as in a cluster: a read-only root, no capabilities, bounded memory. The folder of router.yaml is mounted.
# Signals reach the router, and the script ends with the router's exit status.
#
#   run.sh --config FILE
set -euo pipefail
config=$(dirname "${@: -1}")
exec "$(dirname "${BASH_SOURCE[0]}")/podman.sh" run --rm --read-only --read-only-tmpfs=false --cap-drop ALL --user 65532 --memory 1200m \
  --security-opt no-new-privileges --network host --cgroup-parent "$OWN_MACHINE_CGROUP" --volume "$config:$config:ro" localhost/inference-router:test "$@"
