#!/usr/bin/env bash
# podman with the storage of build/image and none of this machine's own settings, for build.sh, run.sh and the tests.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/image
exec podman --root "$folder/storage" --runroot /run/podman --cgroup-manager cgroupfs --events-backend none --runtime "$(command -v runc)" "$@"
