#!/usr/bin/env python3
"""Draws the dashboard (docs/dashboard.svg) of two routers that it starts, loads and disturbs: ordinary load, too many requests, a
replica that is killed and comes back, a configuration with a mistake. Needs Debian's prometheus; takes four minutes.

  ROUTER_BINARY=build/release/inference-router tests/support/dashboard/draw.py [--seconds 240] [FILE]
"""
import argparse
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "integration")]

from plot import draw  # noqa: E402
from scene import Scene  # noqa: E402
from support.dashboard import Dashboard  # noqa: E402
from support.router import ROOT  # noqa: E402

INTERVAL = 2  # seconds between scrapes
# (share of the time at which each part begins)
PEACE, OVERLOAD, RECOVERY, KILLED, BACK, END = 0.0, 0.2, 0.4, 0.55, 0.7, 1.0


def wait_until(moment):
    time.sleep(max(0.0, moment - time.time()))


def play(scene, seconds):
    def at(share):
        return scene.begun + share * seconds
    scene.start_load()
    wait_until(at(OVERLOAD))
    rush = scene.overload()
    wait_until(at(RECOVERY))
    rush.stop()
    wait_until(at(KILLED))
    scene.kill_a_replica()
    wait_until(at(BACK))
    scene.restart_the_replica()
    scene.refuse_a_configuration()
    wait_until(at(END))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=240)
    options.add_argument("file", nargs="?", type=Path, default=ROOT / "docs" / "dashboard.svg")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, Scene(Path(folder), INTERVAL) as scene:
        play(scene, chosen.seconds)
        # Leaves out the first scrapes, for which there is no rate yet.
        chosen.file.write_text(draw(Dashboard(INTERVAL), scene.prometheus, scene.begun + 4 * INTERVAL))
    print(chosen.file)


if __name__ == "__main__":
    main()
