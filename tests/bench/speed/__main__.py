"""hotfolder beside s5cmd, rclone and the AWS CLI, on the same files in the same run."""

import argparse
import os
import secrets
import tempfile
from pathlib import Path

from rich.console import Console

from tests.bench.speed import peers, stores, works
from tests.bench.speed.contest import DAEMON, Ground

console = Console(width=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hotfolder-bench"
    parser.add_argument("--cache", type=Path, default=cache, help="the peers; the files meanwhile")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    tools = peers.install(options.cache)
    with tempfile.TemporaryDirectory(prefix="run-", dir=options.cache) as place, stores.sink(0) as sink:
        root = Path(place)
        work = works.make(works.small(10_000), root / "small", options.seed)
        ground = Ground(root, tools, options.seed)
        for contestant in (peers.S5CMD_CP, DAEMON):
            console.print(contestant.name, ground.run(contestant, work, sink))


if __name__ == "__main__":
    main()
