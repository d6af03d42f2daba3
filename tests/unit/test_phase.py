"""The one word for what the daemon does."""

import pytest

from hotfolder.core.phase import Road, Situation, phase_of

HELD, IDLE, BUSY = Road(True, True), Road(False, False), Road(False, True)


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (Situation([IDLE], walked=False), "scanning"),
        (Situation([IDLE]), "idle"),
        (Situation([BUSY], in_flight=True), "uploading"),
        (Situation([HELD]), "destination-unreachable"),
        (Situation([Road(True, False)]), "destination-unreachable"),
        (Situation([HELD, IDLE]), "destination-unreachable"),
        (Situation([HELD, BUSY], in_flight=True), "uploading"),
        (Situation([HELD, BUSY]), "idle"),
        (Situation([HELD, HELD], in_flight=True), "destination-unreachable"),
        (Situation([HELD], paused=True), "paused"),
        (Situation([BUSY], closed=True, in_flight=True), "outside-window"),
        (Situation([IDLE], closed=True), "idle"),
        (Situation([BUSY], disk_full=True, in_flight=True), "disk-full"),
        (Situation([HELD], gone=True, disk_full=True), "inbox-missing"),
        (Situation([HELD], gone=True, draining=True), "draining"),
    ],
)
def test_the_most_important_word_comes_first(now: Situation, word: str) -> None:
    assert phase_of(now) == word
