"""A connection whose store takes whatever comes shares the event loop with all else."""

import asyncio

from hotfolder.adapters.direct.connection import Connection
from hotfolder.core.refusals import Fault

_MIB = 1024 * 1024


class Greedy(asyncio.Transport):
    """Takes whatever it is given, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.taken += len(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


async def test_a_large_body_goes_out_in_turns() -> None:
    line, transport = Connection(), Greedy()
    line.connection_made(transport)
    line.begin("PUT a", b"head", bytes(10 * _MIB))
    seen = [transport.taken]
    while transport.taken < 10 * _MIB + len(b"head"):
        await asyncio.sleep(0)  # what else is due gets its turn
        seen.append(transport.taken)
    assert len(seen) > 5
    assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) < 2 * _MIB


async def test_a_request_that_was_given_up_sends_nothing_more() -> None:
    line, transport = Connection(), Greedy()
    line.connection_made(transport)
    answer = line.begin("PUT a", b"head", bytes(10 * _MIB))
    line.end()
    taken = transport.taken
    line.begin("PUT b", b"head", b"")
    for _ in range(3):
        await asyncio.sleep(0)
    assert transport.taken == taken + len(b"head")
    assert (await answer).fault is Fault.CUT
