"""A real daemon whose ledger is rotated, packed and indexed while it works."""

import json
import sqlite3
from contextlib import closing

from tests.support.box import Box

FILES = 120  # a line is some 1.3 kB, a file of the ledger 64 KiB


def indexed(box: Box) -> int:
    with closing(sqlite3.connect(box.state / "state.db")) as connection:
        found = connection.execute("SELECT lines FROM ledger_mark").fetchone()
    return 0 if found is None else int(found[0])


def test_full_files_are_packed_and_every_command_reads_through_them(box: Box) -> None:
    box.configure(extra='[ledger]\nrotate = "64KiB"')
    box.start()
    for number in range(FILES):
        (box.inbox / f"clip-{number:03}.txt").write_bytes(b"content %d" % number)
        if number % 40 == 39:  # all in one append would rotate with the next one
            box.wait(lambda: len(box.ledger()) == number + 1)  # noqa: B023 - it is waited for here
    box.wait(lambda: (box.state / "ledger-000001.jsonl.gz").exists() and indexed(box) == FILES)
    box.wait(lambda: not (box.state / "ledger-000001.jsonl").exists())
    oldest = box.ledger()[0]
    told = box.command("history", "--json", "--limit", "1000").stdout.splitlines()
    assert [json.loads(line) for line in told] == box.ledger()[::-1]
    told = box.command("log", "--json", "-n", "1000").stdout.splitlines()
    assert [json.loads(line) for line in told] == box.ledger()
    for wanted in (oldest["operation_id"], oldest["target_name"], oldest["s3_object_key"]):
        (shown,) = json.loads(box.command("show", "--json", wanted).stdout)["operations"]
        assert shown["operation_id"] == oldest["operation_id"]
    assert json.loads(box.command("stats", "--json").stdout)["delivered"] == FILES
    box.kill()
    box.start()
    (box.inbox / "after.txt").write_bytes(b"after")
    box.wait(lambda: len(box.ledger()) == FILES + 1)
    assert box.stop() == 0
    checked = json.loads(box.command("ledger", "verify", "--json").stdout)
    assert (checked["holds"], checked["lines"]) == (True, FILES + 1)
    assert checked["files"] >= 2
