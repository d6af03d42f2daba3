"""Files on their way, interrupted: each once, whoever wants its end."""

import asyncio
from typing import cast

import pytest

from hotfolder.courier import Ended
from hotfolder.flights import Flights
from hotfolder.gate import Passage
from tests.support.samples import job


class Windings:
    """A flight that hangs, and winds up, when it is interrupted, until it is told to be done."""

    def __init__(self) -> None:
        self.winds_up, self.done = asyncio.Event(), asyncio.Event()
        self.times = 0  # that it was interrupted

    async def fly(self) -> Ended:
        while not self.done.is_set():
            try:
                await self.done.wait()
            except asyncio.CancelledError:
                self.times += 1
                self.winds_up.set()
        raise asyncio.CancelledError

    def leave(self) -> None:
        """As its passage."""


@pytest.mark.parametrize("by", ["a closed window", "who called it off"])
async def test_a_flight_that_winds_up_is_not_interrupted_again_by_a_stop(by: str) -> None:
    flights, windings, hurry, its = Flights(), Windings(), asyncio.Event(), job()
    flights.begin(its, cast(Passage, windings), windings.fly())
    await asyncio.sleep(0)
    flight = flights.get(its.relpath)
    assert flight is not None
    cutting = [asyncio.create_task(flights.cut(flight))] if by == "who called it off" else []
    landing = asyncio.create_task(flights.land(3600.0, hurry, lambda _: by == "a closed window"))
    await windings.winds_up.wait()
    hurry.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not landing.done()
    windings.done.set()
    await asyncio.gather(landing, *cutting)
    assert windings.times == 1
