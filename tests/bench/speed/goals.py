"""What hotfolder wants to reach, each computed from the results. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.speed.results import (
    AWS_MV,
    FAR,
    FARTHER,
    HOTFOLDER,
    NEAR,
    ONCE,
    RCLONE_64,
    RCLONE_COMPRESS,
    S5CMD_CP,
    TAR_GZIP_AWS,
    Results,
)

_MEMORY = 300  # MiB


@dataclass(frozen=True, slots=True)
class Goal:
    text: str
    measured: str
    is_met: bool

    @property
    def verdict(self) -> str:
        return "met" if self.is_met else "**missed**"


#: Work, store, peer, the least ratio of its wall clock to hotfolder's.
RATIOS = (
    ("small", NEAR, S5CMD_CP, 1),
    ("small", NEAR, RCLONE_COMPRESS, 3),
    ("small", NEAR, AWS_MV, 8),
    ("small", FAR, S5CMD_CP, 1),
    ("small", FAR, RCLONE_64, 1),
    ("random", NEAR, S5CMD_CP, 1),
    ("text", NEAR, S5CMD_CP, 1),
    ("text", NEAR, TAR_GZIP_AWS, 8),
)

#: Works whose throughput may not suffer from latency.
LATENT = ("mixed", "large", "random")


def judged(results: Results) -> list[Goal]:
    """The goals whose rows were measured."""
    return [*_ratios(results), *_far(results), *_memory(results), *_flat(results)]


def _ratios(results: Results) -> Iterator[Goal]:
    for work, store, peer, least in RATIOS:
        row = results.row(work, store, peer)
        ratio = results.ratio(row) if row else None
        if row and ratio is not None:
            wanted = f"{least} times as fast as" if least > 1 else "as fast as"
            yield Goal(
                f"{row.title}, {store}: at least {wanted} `{peer}`", f"{ratio:.2f} x", ratio >= least
            )


def _far(results: Results) -> Iterator[Goal]:
    for work in LATENT:
        near, far = results.row(work, NEAR, HOTFOLDER), results.row(work, FARTHER, HOTFOLDER)
        if near and far:
            share = near.wall / far.wall
            text = f"{near.title}: throughput at 80 ms within 10 % of that at 0 ms"
            yield Goal(text, f"{share:.0%} of it", share >= 0.9)


def _memory(results: Results) -> Iterator[Goal]:
    ours = [row for row in results.rows if row.contestant in {HOTFOLDER, ONCE} and row.rounds]
    if ours:
        most = max(ours, key=lambda row: row.peak)
        peak = most.peak / (1 << 20)
        where = f"{peak:.0f} MiB ({most.title}, {most.store})"
        yield Goal(f"memory under {_MEMORY} MiB in every row", where, peak < _MEMORY)


def _flat(results: Results) -> Iterator[Goal]:
    few, many = (results.row(work, NEAR, HOTFOLDER) for work in ("few", "many"))
    if few and many:
        ours, theirs = many.cpu / many.files, few.cpu / few.files
        text = f"CPU a file with {many.files:,} files within 10 % of that with {few.files:,}"
        measured = f"{ours * 1e3:.3f} ms, {theirs * 1e3:.3f} ms: {ours / theirs - 1:+.0%}"
        yield Goal(text, measured, ours <= 1.1 * theirs)
