"""hotfolder beside s5cmd, rclone and the AWS CLI, on the same files in the same run.

Prints tables, and writes speed.json and speed.svg to the cache folder. With --write they go to docs/,
and docs/speed.md and the README's section are written anew. --show FILE runs nothing, and takes the
speed.json of an earlier run. A run that failed is an error and no figure: the exit code is 1, and docs/
stays as it was.
"""

import argparse
import importlib.util
import json
import os
import secrets
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.bench.speed import peers, plan, report, runner
from tests.bench.speed.budget import Budget
from tests.bench.speed.results import Results, errors, from_json, to_json

_ROOM = 20 << 30  # bytes on the disk, for the full bench
_CAN_DRAW = importlib.util.find_spec("matplotlib") is not None
_NO_CHART = "matplotlib is missing; it is in the extra: pip install -e '.[bench]'"
_FULL, _QUICK = 15 * 60.0, 2 * 60.0  # seconds
console = Console(width=150)


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hotfolder-bench"
    parser.add_argument(
        "--quick", action="store_true", help="two minutes, and no figures for the README"
    )
    parser.add_argument("--cache", type=Path, default=cache, help="the peers; the files meanwhile")
    parser.add_argument(
        "--budget", type=float, help="seconds; past them only what a goal has not measured once"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--only", nargs="*", help="works by their short names: small mixed large ...")
    parser.add_argument("--write", action="store_true", help="write docs/ and the README's section")
    parser.add_argument("--show", type=Path, metavar="FILE", help="an earlier run's speed.json")
    options = parser.parse_args()
    if options.write and (options.quick or options.only) and not options.show:
        parser.error("--write is for a whole run")
    if options.write and not _CAN_DRAW:
        parser.error(f"--write draws a chart: {_NO_CHART}")
    return options


def run(options: argparse.Namespace) -> Results:
    options.cache.mkdir(parents=True, exist_ok=True)
    if not options.quick and (free := shutil.disk_usage(options.cache).free) < _ROOM:
        sys.exit(f"{options.cache} has {free >> 30} GiB free, and {_ROOM >> 30} are needed: see --cache")
    tools = peers.install(options.cache)
    groups = plan.quick() if options.quick else plan.full()
    if options.only:
        groups = [group for group in groups if group.work.name in options.only]

    def say(line: str) -> None:
        console.print(line, style="dim", highlight=False, markup=False)

    seconds = options.budget or (_QUICK if options.quick else _FULL)
    budget = Budget(seconds, time.monotonic, is_hard=options.quick)
    return runner.measure(groups, budget, tools, options.cache, options.seed, say)


def main() -> int:
    options = asked()
    results = from_json(json.loads(options.show.read_text())) if options.show else run(options)
    for table in report.tables(results):
        console.print(table)
    for line in report.conditions(results):
        console.print(line, highlight=False)
    wrong = errors(results.rows)
    for line in wrong:
        console.print(line, style="red", markup=False)
    if wrong and options.write:
        console.print("docs/ stays as it was", style="red")
    to = report.DOCS if options.write and not wrong else options.cache
    (to / "speed.json").write_text(json.dumps(to_json(results), indent=1) + "\n")
    has_chart = draw(results, to / "speed.svg")
    if to == report.DOCS:
        report.write(results)
    console.print(f"speed.json {'and speed.svg are' if has_chart else 'is'} in {to}")
    if options.quick:
        console.print(
            "No basis for the README: so few and small files measure how programs start. See make bench"
        )
    return 1 if wrong else 0


def draw(results: Results, to: Path) -> bool:
    """Write the chart; where it cannot be drawn no older one is left, and False returned."""
    if _CAN_DRAW:
        from tests.bench.speed import chart  # its package may be missing

        return chart.draw(results, to)
    to.unlink(missing_ok=True)
    console.print(f"no chart: {_NO_CHART}", style="yellow", markup=False)
    return False


if __name__ == "__main__":
    sys.exit(main())
