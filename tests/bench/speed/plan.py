"""Which contestant runs on which work against which store, and how often it should.

A matrix of all would take hours. Every goal has its rows, three rounds each (`goals.measured` names
them, and `Budget` runs them first); of what takes half a minute and more one, and further ones while
there is time. Beside them each kind of work has its best peers, once. Latency is tried with those that
have many requests in flight: four transfers at a time (rclone's default) wait for most of it.
"""

from dataclasses import dataclass

from tests.bench.speed import peers, works
from tests.bench.speed.contest import AT_ONCE, BY_THOUSANDS, DAEMON, ONCE, Contestant
from tests.bench.speed.names import FAR, FARTHER, NEAR, SEAWEED
from tests.bench.speed.works import GIB, MIB, Work

LATENCIES = {NEAR: 0, FAR: 20, FARTHER: 80}  # milliseconds


@dataclass(frozen=True, slots=True)
class Group:
    """One table's worth: contestants that alternate on the same files. With each its wished rounds."""

    work: Work
    store: str
    contestants: dict[Contestant, int]


def full() -> list[Group]:
    """About a quarter of an hour: half a minute for the files, 680 s for the goals, 150 s for all else.

    The comments are seconds of a round on two quiet cores, what is done around it included.
    """
    small, mixed = works.small("small", 10_000), works.mixed("mixed", 1000)
    large = works.large("large", 20, 64 * MIB, "random bytes")
    random = works.large("random", 1, 4 * GIB, "random bytes")
    text = works.large("text", 1, 4 * GIB, "text")
    few, many = works.small("few", 3000), works.small("many", 100_000)
    return [
        Group(
            small,
            NEAR,
            {
                peers.S5CMD_CP: 3,  # 4
                DAEMON: 3,  # 10
                peers.S5CMD_MV: 1,  # 4
                ONCE: 1,  # 10
                peers.RCLONE: 1,  # 5
                peers.RCLONE_64: 1,  # 5
                peers.RCLONE_COMPRESS: 1,  # 44
                peers.AWS_MV: 1,  # 32
            },
        ),
        Group(small, FAR, {peers.S5CMD_CP: 3, DAEMON: 3, peers.RCLONE_64: 3}),  # 4, 10, 8
        Group(small, FARTHER, {peers.S5CMD_CP: 1, DAEMON: 1}),  # 4, 10
        Group(
            mixed,
            NEAR,
            {
                peers.S5CMD_CP: 1,  # 3
                DAEMON: 3,  # 6
                peers.RCLONE: 1,  # 3
                peers.RCLONE_COMPRESS: 1,  # 8
                peers.AWS_MV: 1,  # 5
            },
        ),
        Group(mixed, FARTHER, {peers.S5CMD_CP: 1, DAEMON: 3, peers.RCLONE_64: 1}),  # 3, 7, 4
        Group(large, NEAR, {peers.S5CMD_CP: 1, DAEMON: 3}),  # 3, 6
        Group(large, FARTHER, {peers.S5CMD_CP: 1, DAEMON: 3}),  # 3, 8
        Group(random, NEAR, {peers.S5CMD_CP: 3, DAEMON: 3, peers.AWS_MV: 1}),  # 11, 12, 9
        Group(random, FARTHER, {DAEMON: 3}),  # 13
        Group(
            text,
            NEAR,
            {
                peers.S5CMD_CP: 3,  # 12
                DAEMON: 3,  # 14
                peers.RCLONE_COMPRESS: 1,  # 20
                peers.TAR_GZIP_AWS: 1,  # 83
            },
        ),
        Group(
            works.source_tree("source"),
            NEAR,
            {peers.S5CMD_CP: 1, DAEMON: 1, peers.RCLONE: 1, peers.TAR_GZIP_AWS: 1},  # 1, 6, 2, 4
        ),
        Group(small, SEAWEED, {peers.S5CMD_CP: 1, DAEMON: 1}),  # 7, 13
        Group(mixed, SEAWEED, {peers.S5CMD_CP: 1, DAEMON: 1}),  # 10, 10
        Group(few, NEAR, {BY_THOUSANDS: 3}),  # 12
        Group(many, NEAR, {AT_ONCE: 1}),  # 95
    ]


def quick() -> list[Group]:
    """The same in two minutes: fewer and smaller files, one or two rounds."""
    small, mixed = works.small("small", 1000), works.mixed("mixed", 100)
    random = works.large("random", 1, GIB // 4, "random bytes")
    text = works.large("text", 1, GIB // 4, "text")
    few, many = works.small("few", 2000), works.small("many", 5000)
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
        Group(mixed, NEAR, {peers.S5CMD_CP: 1, DAEMON: 2}),
        Group(mixed, FARTHER, {DAEMON: 2}),
        Group(random, NEAR, {peers.S5CMD_CP: 2, DAEMON: 2}),
        Group(text, NEAR, {peers.S5CMD_CP: 2, DAEMON: 2, peers.TAR_GZIP_AWS: 1}),
        Group(small, SEAWEED, {peers.S5CMD_CP: 1, DAEMON: 1}),
        Group(few, NEAR, {BY_THOUSANDS: 1}),
        Group(many, NEAR, {AT_ONCE: 1}),
    ]
