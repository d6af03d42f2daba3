"""What hotfolder wants to reach, each computed from the results. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.speed import names
from tests.bench.speed.results import Results, Row

_MEMORY = 300  # MiB
_LATENT = 0.9  # of the throughput without latency
_FLAT = 1.1  # times the cost of a file among few


@dataclass(frozen=True, slots=True)
class Goal:
    """`rounds`: of hotfolder, and of what it is compared with. `why`: what is in the way, if missed."""

    text: str
    measured: str
    rounds: str
    is_met: bool
    why: str = ""

    @property
    def verdict(self) -> str:
        return "met" if self.is_met else "**missed**"


#: Work, store, peer, the least ratio of its wall clock to hotfolder's.
RATIOS = (
    ("small", names.NEAR, names.S5CMD_CP, 1),
    ("small", names.NEAR, names.RCLONE_COMPRESS, 3),
    ("small", names.NEAR, names.AWS_MV, 8),
    ("small", names.FAR, names.S5CMD_CP, 1),
    ("small", names.FAR, names.RCLONE_64, 1),
    ("random", names.NEAR, names.S5CMD_CP, 1),
    ("text", names.NEAR, names.S5CMD_CP, 1),
    ("text", names.NEAR, names.TAR_GZIP_AWS, 8),
)

#: Works whose throughput may not suffer from latency.
LATENT = ("mixed", "large", "random")

#: Where a file may not cost more among many than among few.
FEW, MANY = ("few", names.NEAR, names.BY_THOUSANDS), ("many", names.NEAR, names.AT_ONCE)


def measured() -> set[tuple[str, str, str]]:
    """Work, store and contestant of every row that a goal needs."""
    peers = {(work, store, peer) for work, store, peer, _ in RATIOS}
    ours = {(work, store, names.HOTFOLDER) for work, store, _, _ in RATIOS}
    latent = {(work, store, names.HOTFOLDER) for work in LATENT for store in (names.NEAR, names.FARTHER)}
    return {*peers, *ours, *latent, FEW, MANY}


def judged(results: Results) -> list[Goal]:
    """The goals whose rows were measured."""
    return [*_ratios(results), *_far(results), *_memory(results), *_flat(results)]


def _ratios(results: Results) -> Iterator[Goal]:
    for work, store, peer, least in RATIOS:
        row, ours = results.row(work, store, peer), results.row(work, store, names.HOTFOLDER)
        if row and ours:
            ratio = row.wall / ours.wall
            wanted = f"{least} times as fast as" if least > 1 else "as fast as"
            text = f"{row.title}, {store}: at least {wanted} `{peer}`"
            why = _why_slower(ours, row)
            yield Goal(text, f"{ratio:.2f} x", _rounds(ours, row), ratio >= least, why)


def _why_slower(ours: Row, theirs: Row) -> str:
    """Where the time goes: what each takes of the cores, for a file or for its bytes."""
    each = "a file" if ours.files > 1 else "a MB"
    units = ours.files if ours.files > 1 else ours.size / 1e6
    took = [f"{row.cpu / units * 1e6:,.0f} us of CPU {each}" for row in (ours, theirs)]
    cores = [f"{row.cpu / row.wall:.1f}" for row in (ours, theirs)]
    return (
        f"the whole job takes {took[0]} and keeps {cores[0]} cores busy, `{theirs.contestant}` takes "
        f"{took[1]} and keeps {cores[1]}"
    )


def _far(results: Results) -> Iterator[Goal]:
    for work in LATENT:
        near = results.row(work, names.NEAR, names.HOTFOLDER)
        far = results.row(work, names.FARTHER, names.HOTFOLDER)
        if near and far:
            share = near.wall / far.wall
            text = f"{near.title}: throughput at 80 ms within 10 % of that at 0 ms"
            why = (
                f"{far.wall - near.wall:.2f} s longer, with {far.cpu - near.cpu:+.2f} s of CPU; the "
                "rest is answers waited for, while `memory` bounds how much is on its way"
            )
            yield Goal(text, f"{share:.0%} of it", _rounds(near, far), share >= _LATENT, why)


def _memory(results: Results) -> Iterator[Goal]:
    ours = [row for row in results.rows if row.contestant in names.OURS and row.rounds]
    if ours:
        most = max(ours, key=lambda row: row.peak)
        peak = most.peak / (1 << 20)
        where = f"{peak:.0f} MiB ({most.title}, {most.store})"
        rounds = f"{sum(len(row.rounds) for row in ours)}"
        why = "the buffers that `memory` bounds are 256 MiB of it, Python and its libraries the rest"
        yield Goal(f"memory under {_MEMORY} MiB in every row", where, rounds, peak < _MEMORY, why)


def _flat(results: Results) -> Iterator[Goal]:
    few, many = results.row(*FEW), results.row(*MANY)
    if few and many:
        theirs, ours = few.cpu / few.files, many.cpu / many.files
        text = f"CPU a file, {many.files:,} files at once, within 10 % of that 1,000 at a time"
        measured = f"{ours * 1e3:.3f} ms, {theirs * 1e3:.3f} ms: {ours / theirs - 1:+.0%}"
        why = (
            "what waits is walked, looked at and kept in order; the ledger's length adds nothing: a "
            "thousand after many cost what a thousand before them did"
        )
        yield Goal(text, measured, _rounds(many, few), ours <= _FLAT * theirs, why)


def _rounds(*rows: Row) -> str:
    return ", ".join(f"{len(row.rounds)}" for row in rows)
