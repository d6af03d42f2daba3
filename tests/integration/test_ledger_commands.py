"""`hotfolder ledger …`, as an operator calls it."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hotfolder.adapters.ledger import FileLedger
from hotfolder.adapters.state.ledger_index import SqliteLedgerIndex


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "inbox").mkdir()
    config = tmp_path / "hotfolder.toml"
    config.write_text(
        'state_dir = "state"\n[destination]\nbucket = "media"\n[folders.media]\ninbox = "inbox"\n'
    )
    return config


def called(config: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "hotfolder", *arguments, "--config", str(config)],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("HOTFOLDER_")},
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def filled(config: Path, count: int) -> Path:
    path = config.with_name("state") / "ledger.jsonl"
    ledger = FileLedger(path, rotate_at=1_000)
    for number in range(count):
        ledger.append([{"schema": 1, "operation_id": f"{number}", "status": "success"}])
    return path


def test_an_absent_ledger_holds(config: Path) -> None:
    assert called(config, "ledger", "verify") == (0, "0 lines in 0 files, the chain holds\n", "")


def test_a_chain_that_holds_is_told_with_its_torn_tail(config: Path) -> None:
    path = filled(config, 1)
    assert called(config, "ledger", "verify")[1] == "1 line in 1 file, the chain holds\n"
    filled(config, 20)
    with path.open("ab") as file:
        file.write(b"torn")
    code, told, _ = called(config, "ledger", "verify")
    assert code == 0
    assert told.splitlines() == [
        "20 lines in 3 files, the chain holds",
        "behind them 4 bytes of a line that was cut off; the next append removes them",
    ]
    code, told, _ = called(config, "ledger", "verify", "--json")
    assert json.loads(told) == {"holds": True, "lines": 20, "files": 3, "torn_bytes": 4}


def test_the_first_broken_line_is_told(config: Path) -> None:
    path = filled(config, 20)
    broken = path.with_name("ledger-000001.jsonl")
    broken.write_bytes(broken.read_bytes().replace(b"success", b"skipped", 1))
    code, told, error = called(config, "ledger", "verify")
    assert (code, told) == (1, "")
    assert f"{broken} line 2 names" in error
    code, told, _ = called(config, "ledger", "verify", "--json")
    assert code == 1
    assert json.loads(told)["holds"] is False
    assert json.loads(told)["broken"].items() >= {"file": str(broken), "line": 2}.items()
    broken.unlink()
    code, _, error = called(config, "ledger", "verify")
    assert code == 1
    assert f"{broken} (or ledger-000001.jsonl.gz) is missing" in error


def test_the_index_is_made_anew(config: Path) -> None:
    path = filled(config, 20)
    for _ in range(2):
        assert called(config, "ledger", "rebuild")[:2] == (0, "20 lines in the index\n")
    with SqliteLedgerIndex(path.with_name("state.db")) as index:
        mark, found = index.recorded({"0", "19", "20"})
    assert mark is not None
    assert (mark.lines, set(found)) == (20, {"0", "19"})
    filled(config, 21)
    code, told, _ = called(config, "ledger", "rebuild", "--json")
    assert (code, json.loads(told)) == (0, {"lines": 21})


def test_a_state_file_of_a_newer_version_is_told_with_what_to_do(config: Path) -> None:
    path = filled(config, 1)
    with contextlib.closing(sqlite3.connect(path.with_name("state.db"))) as connection:
        connection.execute("PRAGMA user_version = 99")
    code, _, error = called(config, "ledger", "rebuild")
    assert code == 69
    assert "version 99" in error
