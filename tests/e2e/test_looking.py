"""What an operator looks at: status, show, history, log and stats of a real daemon."""

import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from hotfolder.core.timeline import PROOFS
from tests.support.box import HOTFOLDER, PATIENCE, Box

SLOW = '[transfer]\nmemory = "64MiB"\nworkers = 1'


def told(box: Box, *arguments: str, code: int = 0) -> str:
    done = box.command(*arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def deny(box: Box, name: str) -> None:
    """A name that no key can hold: it fails at once."""
    path = box.inbox
    for _ in range(6):
        path = path / (name * 200)[:200]
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x")


def screen(box: Box, *arguments: str, columns: int, until: str = "") -> tuple[str, int]:
    """What a command draws on a terminal of that width, and its exit code.

    Ctrl-C comes once `until` was drawn, twice for what draws again and again; without it the command
    ends by itself.
    """
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [*HOTFOLDER, *arguments, "--config", str(box.config)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**box.environment(), "TERM": "xterm"},
    )
    os.close(terminal)
    drawn, deadline, asked = b"", time.monotonic() + PATIENCE, False
    while True:
        assert time.monotonic() < deadline, drawn
        if until and not asked and plain(drawn.decode(errors="replace")).count(until) > 1:
            process.send_signal(signal.SIGINT)
            asked = True
        if select.select([main], [], [], 0.1)[0]:
            try:
                drawn += os.read(main, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
    os.close(main)
    return drawn.decode(errors="replace"), process.wait(PATIENCE)


def plain(drawn: str) -> str:
    """Without colours and cursor moves."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn)


def test_status_during_a_delivery_and_after_it(box: Box) -> None:
    box.configure('settle = "100ms"', SLOW)
    box.start()
    (box.inbox / "reels").mkdir()
    with (box.inbox / "reels" / "big.mov").open("wb") as file:
        for _ in range(40):
            file.write(os.urandom(1 << 23))
    box.wait(lambda: any(flight["bytes"] for flight in box.status().get("active", [])))
    state = json.loads(told(box, "status", "--json"))
    assert state["stale"] is False
    during = told(box, "status")
    if "in flight" in during.splitlines()[0]:
        assert "reels/big.mov" in during
    found = told(box, "show", "big.mov")
    assert "in flight" in found or "uploading" in found or "ETA" in found or "delivered" in found
    box.wait_recorded(1)
    box.wait(lambda: box.phase() == "idle")
    after = told(box, "status")
    assert after.splitlines()[0] == "idle"
    assert "reels\t1\t1\t0\t0\t335.5 MB" in after
    assert box.stop() == 0
    assert told(box, "status").startswith("stopped, ")


def test_a_dead_daemon_is_called_dead_in_the_first_line(box: Box) -> None:
    box.start()
    pid = box.status()["pid"]
    box.kill()
    assert told(box, "status", code=1).splitlines()[0].endswith(f"process {pid} is gone")  # at once
    state = box.status()
    state["host"] = "elsewhere"
    state["last_update"] = time.time() + 600  # however long that takes
    (box.state / "status.json").write_text(json.dumps(state))
    assert told(box, "status").splitlines()[0] == "idle"  # of a process there nothing can be told yet
    state["host"] = socket.gethostname()
    state["last_update"] = time.time() - 60
    (box.state / "status.json").write_text(json.dumps(state))
    dead = told(box, "status", code=1).splitlines()[0]
    assert re.match(r"no heartbeat for \d+m( \d+s)?: the daemon is likely dead", dead)
    assert dead.endswith(f": process {pid} is gone")
    assert json.loads(told(box, "status", "--json", code=1))["stale"] is True
    state["pid"] = os.getpid()
    (box.state / "status.json").write_text(json.dumps(state))
    assert told(box, "status", code=1).splitlines()[0].endswith(f"process {os.getpid()} still exists")
    state["host"] = "elsewhere"
    (box.state / "status.json").write_text(json.dumps(state))
    assert "on elsewhere; look there" in told(box, "status", code=1).splitlines()[1]


def test_an_outage_is_told_with_its_error_its_hint_and_the_next_try(box: Box) -> None:
    box.configure(bucket="no-such-bucket")
    box.start(wait=False)
    (box.inbox / "waits.txt").write_bytes(b"w")
    box.wait(lambda: box.phase() == "destination-unreachable" and box.status()["waiting"]["count"])
    lines = told(box, "status").splitlines()
    assert lines[0].startswith("destination-unreachable: 1 waiting")
    (store,) = [number for number, line in enumerate(lines) if line.startswith("store ")]
    assert "no-bucket" in lines[store]
    assert "no-such-bucket" in lines[store + 1]
    assert lines[store + 3].strip().startswith("asks again ")
    found = told(box, "show", "waits.txt")
    assert "its store is not ready (no-bucket)" in found
    assert re.search(r"until +\d{4}-", found)


def test_status_tells_what_is_left_and_what_failed(box: Box) -> None:
    (box.inbox / "link").symlink_to("/etc/passwd")
    box.start()
    deny(box, "n")
    box.wait_recorded(1)
    box.wait(lambda: box.status()["totals"]["failed"] == 1)
    text = told(box, "status")
    assert f"{box.inbox}/link\ta symbolic link" in text
    assert "S3 takes 1024" in text
    assert "a symbolic link" in told(box, "show", "link")
    failed = told(box, "show", "file")
    assert "given up" in failed
    assert str(box.failed) in failed
    shutil.rmtree(box.failed)  # as `retry` and the next delivery do
    assert "S3 takes 1024" not in told(box, "status")


@pytest.mark.parametrize("columns", [80, 120])
def test_watch_draws_until_ctrl_c_and_no_line_is_too_long(box: Box, columns: int) -> None:
    box.start()
    (box.inbox / ("long name " * 20)).write_bytes(b"x" * 1000)
    deny(box, "n")
    box.wait_recorded(2)
    drawn, code = screen(box, "status", "--watch", columns=columns, until="last failures")
    assert code == 0
    assert "idle" in drawn
    assert "last failures" in drawn
    for line in re.split(r"[\r\n]+|\x1b\[H|\x1b\[\?\d+[hl]", drawn):
        assert len(plain(line)) <= columns, plain(line)


def test_show_finds_a_delivered_file_by_every_name(box: Box) -> None:
    (box.inbox / "reels").mkdir()
    (box.inbox / "reels" / "clip.mov").write_bytes(b"clip" * 1000)
    assert box.command("once").returncode == 0
    (line,) = box.ledger()
    names = ["clip.mov", "reels/clip.mov", line["operation_id"][:13], "reels/clip.mov.tar.gz"]
    names += [f"s3://{box.bucket}/reels/clip.mov.tar.gz", "inbox/reels/clip.mov"]
    names += ["completed/reels/clip.mov"]
    for found in box.told(*(("show", name) for name in names)):
        assert "delivered, proven and recorded" in found
        assert f"{line['verification']}: {PROOFS[line['verification']]}" in found
        assert line["checksum_original"].removeprefix("sha256:") in found
        assert f"{box.completed}/reels/clip.mov\n" in found
    Path(line["completed_dir_path"]).unlink()
    assert "(not there any more)" in told(box, "show", "clip.mov")
    (operation,) = json.loads(told(box, "show", "clip.mov", "--json"))["operations"]
    assert operation["original_is"] == "gone"


def test_show_says_why_a_file_waits_and_where_it_looked(box: Box) -> None:
    nothing = told(box, "show", "nowhere.txt", code=1)
    assert "nothing is called nowhere.txt" in nothing
    assert str(box.inbox) in nothing
    assert "ledger.jsonl" in nothing
    (box.inbox / "sub").mkdir()
    (box.inbox / "sub" / "later.txt").write_bytes(b"x")
    (box.inbox / "sub" / "junk.tmp").write_bytes(b"x")
    assert "no daemon is running" in told(box, "show", "later.txt")
    assert "it is left alone" in told(box, "show", "sub/junk.tmp")
    assert "sub is a folder: its files go their way one by one" in told(box, "show", "sub", code=1)
    box.configure('settle = "10m"')
    box.start(wait=False)
    box.wait(lambda: box.status()["waiting"]["count"])
    settling = told(box, "show", "later.txt")
    assert "settling: found" in settling
    assert re.search(r"until .*\(in \d+m( \d+s)?\)", settling)


def test_show_lists_all_of_a_name_and_tells_the_newest(box: Box) -> None:
    for content in (b"first", b"second"):
        (box.inbox / "same.txt").write_bytes(content)
        assert box.command("once").returncode == 0
    (box.inbox / "same.txt").write_bytes(b"third")
    newest = told(box, "show", "same.txt")
    assert re.findall(r"^(\d)\t", newest, re.MULTILINE) == ["1", "2", "3"]
    assert newest.count("\n1. ") == 1
    assert "\n2. " not in newest
    assert "\n3. " in told(box, "show", "same.txt", "--all")
    found = json.loads(told(box, "show", "same.txt", "--json"))
    assert [len(found[kind]) for kind in ("in_flight", "waiting", "operations")] == [0, 1, 2]
    assert found["operations"][0]["s3_object_key"].startswith("same.txt~")


def test_history_filters_and_refuses_what_it_does_not_understand(box: Box) -> None:
    for group in ("reels", "logs"):
        (box.inbox / group).mkdir()
        (box.inbox / group / "a").write_bytes(group.encode())
    deny(box, "n")
    box.command("once")

    everything = ["logs", "nnnnn", "reels"]
    filters: dict[tuple[str, ...], list[str]] = {
        (): everything,
        ("--status", "failed"): ["nnnnn"],
        ("--status", "success", "--group", "logs"): ["logs"],
        ("--folder", "other"): [],
        ("--type", "download"): [],
        ("--since", "1h"): everything,
        ("--until", "2999-01-01"): everything,
        ("--until", "1h"): [],
    }
    *found, two, nothing = box.told(
        *(("history", "--json", *arguments) for arguments in filters),
        ("history", "--json", "--limit", "2"),
        ("history", "--folder", "other"),
    )
    groups = [sorted(json.loads(line)["group"][:5] for line in lines.splitlines()) for lines in found]
    assert groups == list(filters.values())
    assert len(two.splitlines()) == 2
    assert nothing == "nothing recorded is like that\n"
    for wrong in (("--since", "yesterday"), ("--status", "lost"), ("--type", "x"), ("--limit", "0")):
        assert "Invalid value" in told(box, "history", *wrong, code=2)
    drawn, code = screen(box, "history", columns=80)
    assert code == 0
    assert max(len(line) for line in plain(drawn).splitlines()) <= 80
    assert "S3 takes" in " ".join(plain(drawn).split())


def test_log_follows_and_ends_with_0(box: Box) -> None:
    (box.inbox / "first.txt").write_bytes(b"1")
    assert box.command("once").returncode == 0
    process = subprocess.Popen(
        [*HOTFOLDER, "log", "-f", "-n", "5", "--config", str(box.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=box.environment(),
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    (box.inbox / "second.txt").write_bytes(b"2")
    assert box.command("once").returncode == 0
    second = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert "first.txt" in first
    assert "success   second.txt  1 byte -> " in second
    assert (process.returncode, out, errors) == (0, "", "")
    assert told(box, "log", "-n", "1").count("\n") == 1
    raw = told(box, "log", "--json")
    assert raw == (box.state / "ledger.jsonl").read_text()


def test_stats_are_the_sums_of_the_ledger(box: Box) -> None:
    for number in range(5):
        (box.inbox / f"{number}.txt").write_bytes(b"text\n" * 1000 * number)
    deny(box, "n")
    box.command("once")
    lines = [line for line in box.ledger() if line["status"] == "success"]
    sums = json.loads(told(box, "stats", "--json"))
    assert (sums["files"], sums["delivered"], sums["failed"]) == (6, 5, 1)
    assert sums["original_bytes"] == sum(line["original_size"] for line in lines)
    assert sums["packed_bytes"] == sum(line["compressed_size"] for line in lines)
    assert 0 < sums["busy_seconds"] <= sum(line["duration_seconds"] for line in lines)
    assert sums["groups"][0]["group"] == "box"
    assert "6: 5 delivered, 0 skipped, 1 failed" in told(box, "stats")
    assert json.loads(told(box, "stats", "--json", "--until", "1h"))["files"] == 0


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("hotfolder hist", ["history"]),
        ("hotfolder history --lim", ["--limit"]),
        ("hotfolder history --status s", ["success", "skipped"]),
        ("hotfolder history --type d", ["download", "delete"]),
    ],
)
def test_bash_completes_commands_options_and_their_values(
    tmp_path: Path, typed: str, offered: list[str]
) -> None:
    program = tmp_path / "hotfolder"
    start = "import sys; sys.argv[0] = 'hotfolder'; from hotfolder.cli import main; main()"
    command = shlex.join([sys.executable, "-c", start])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    shown = subprocess.run(
        [
            "bash",
            "-c",
            f"""
            eval "$(hotfolder --show-completion bash)"
            COMP_WORDS=({typed}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
            "$(complete -p hotfolder | sed 's/.*-F \\([^ ]*\\).*/\\1/')" hotfolder
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """,
        ],
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
        env={**Box.environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert shown.stdout.split() == offered
