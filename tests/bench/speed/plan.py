"""Which contestant runs on which work against which store, and how often it should.

A matrix of all would take hours. So every goal has its rows, every kind of work its best peers, and a
slow program one round. Latency is tried with those that have many requests in flight: four transfers
at a time (rclone's default) wait for most of it.
"""

from dataclasses import dataclass

from tests.bench.speed import peers, works
from tests.bench.speed.contest import DAEMON, ONCE, Contestant
from tests.bench.speed.results import FAR, FARTHER, NEAR, SEAWEED
from tests.bench.speed.works import GIB, MIB, Work

LATENCIES = {NEAR: 0, FAR: 20, FARTHER: 80}  # milliseconds


@dataclass(frozen=True, slots=True)
class Group:
    """One table's worth: contestants that alternate on the same files. With each its wished rounds."""

    work: Work
    store: str
    contestants: dict[Contestant, int]


def full() -> list[Group]:
    """About a quarter of an hour."""
    small, mixed = works.small("small", 10_000), works.mixed("mixed", 1000)
    large = works.large("large", 20, 64 * MIB, "random bytes")
    random, text = (
        works.large("random", 1, 4 * GIB, "random bytes"),
        works.large("text", 1, 4 * GIB, "text"),
    )
    few, many = works.small("few", 1000), works.small("many", 100_000)
    return [
        Group(
            small,
            NEAR,
            {
                peers.S5CMD_CP: 3,
                DAEMON: 3,
                peers.S5CMD_MV: 2,
                ONCE: 1,
                peers.RCLONE: 2,
                peers.RCLONE_64: 2,
                peers.RCLONE_COMPRESS: 1,
                peers.AWS_MV: 1,
            },
        ),
        Group(small, FAR, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE_64: 2}),
        Group(small, FARTHER, {peers.S5CMD_CP: 2, DAEMON: 2, peers.RCLONE_64: 1}),
        Group(
            mixed,
            NEAR,
            {
                peers.S5CMD_CP: 3,
                DAEMON: 3,
                peers.RCLONE: 2,
                peers.RCLONE_COMPRESS: 1,
                peers.AWS_MV: 1,
            },
        ),
        Group(mixed, FARTHER, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE_64: 1}),
        Group(large, NEAR, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE: 1, peers.AWS_MV: 1}),
        Group(large, FARTHER, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE: 1}),
        Group(random, NEAR, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE: 1, peers.AWS_MV: 1}),
        Group(random, FARTHER, {peers.S5CMD_CP: 1, DAEMON: 2}),
        Group(
            text, NEAR, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE_COMPRESS: 1, peers.TAR_GZIP_AWS: 1}
        ),
        Group(
            works.source_tree("source"),
            NEAR,
            {
                peers.S5CMD_CP: 3,
                DAEMON: 3,
                peers.RCLONE: 2,
                peers.RCLONE_COMPRESS: 2,
                peers.TAR_GZIP_AWS: 1,
            },
        ),
        Group(small, SEAWEED, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE: 1}),
        Group(mixed, SEAWEED, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE: 1}),
        Group(few, NEAR, {DAEMON: 5}),
        Group(many, NEAR, {DAEMON: 1}),
    ]


def quick() -> list[Group]:
    """The same in two minutes: fewer and smaller files, one or two rounds."""
    small, mixed = works.small("small", 2000), works.mixed("mixed", 200)
    random = works.large("random", 1, GIB // 2, "random bytes")
    text = works.large("text", 1, GIB // 2, "text")
    return [
        Group(
            small,
            NEAR,
            {
                peers.S5CMD_CP: 2,
                DAEMON: 2,
                peers.RCLONE: 1,
                peers.RCLONE_COMPRESS: 1,
                peers.AWS_MV: 1,
            },
        ),
        Group(small, FAR, {peers.S5CMD_CP: 2, DAEMON: 2, peers.RCLONE_64: 1}),
        Group(mixed, NEAR, {peers.S5CMD_CP: 2, DAEMON: 2}),
        Group(mixed, FARTHER, {peers.S5CMD_CP: 2, DAEMON: 2}),
        Group(random, NEAR, {peers.S5CMD_CP: 2, DAEMON: 2}),
        Group(text, NEAR, {peers.S5CMD_CP: 2, DAEMON: 2, peers.TAR_GZIP_AWS: 1}),
        Group(works.source_tree("source"), NEAR, {peers.S5CMD_CP: 2, DAEMON: 2}),
        Group(small, SEAWEED, {peers.S5CMD_CP: 1, DAEMON: 1}),
    ]
