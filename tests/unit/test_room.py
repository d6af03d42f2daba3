"""Whether a packed file fits into the spool."""

import pytest

from hotfolder.core.room import RESERVE, Disk, Room, room_for


@pytest.mark.parametrize(
    ("size", "free", "promised", "others", "room"),
    [
        (100, 110, 0, False, Room.GRANTED),
        (101, 110, 0, False, Room.NONE),
        (101, 110, 0, True, Room.WAIT),
        (50, 110, 50, True, Room.GRANTED),
        (51, 110, 50, True, Room.WAIT),
        (990, 110, 0, True, Room.WAIT),
        (991, 110, 0, True, Room.NEVER),
        (991, 1000, 0, False, Room.NEVER),
    ],
)
def test_room_is_what_is_free_less_what_is_promised_and_the_reserve(
    size: int, free: int, promised: int, others: bool, room: Room
) -> None:
    assert room_for(size, Disk(free, 1000), promised=promised, others=others, reserve=10) is room


def test_the_reserve_is_kept_unless_another_is_named() -> None:
    assert room_for(1, Disk(RESERVE, 1 << 40), promised=0, others=False) is Room.NONE
    assert room_for(1, Disk(RESERVE + 1, 1 << 40), promised=0, others=False) is Room.GRANTED
