#!/usr/bin/env bash
# Autoscaling rules on traces of arrivals: writes the figures and the picture of docs/autoscaling.md. Usage: run.sh [SEEDS]
# Fails if the gate is not kept (report.py).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build/bench/bench/bench_scaling bench/scaling/data "${1:-3}" > build/bench/scaling.csv
python3 bench/scaling/report.py build/bench/scaling.csv --page docs/autoscaling.md --picture docs/autoscaling.svg
