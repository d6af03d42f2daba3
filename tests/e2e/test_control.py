"""The running daemon, asked: pause, resume, scan, reload, retry, cancel; and the signals."""

import json
import os
import signal
import stat
import sys

import pytest

from hotfolder.adapters import control
from hotfolder.core.control import Command, Request
from hotfolder.core.errors import ConfigError
from tests.support.box import PATIENCE, Box
from tests.support.dam import Dam


def test_a_pause_starts_nothing_and_resume_goes_on(box: Box) -> None:
    box.start()
    assert stat.S_IMODE((box.state / "control.sock").stat().st_mode) == 0o660
    done = box.command("pause")
    assert done.returncode == 0, done.stderr
    assert "paused, since" in done.stdout
    (box.inbox / "a").write_bytes(b"a")
    box.wait(lambda: "paused" in (box.status()["waiting"]["why"] or ""))
    assert box.phase() == "paused"
    told = box.command("status").stdout
    assert "hotfolder resume" in told
    assert "already paused" in box.command("pause").stdout
    assert box.ledger() == []
    assert "goes on" in box.command("resume").stdout
    box.wait_recorded(1)
    assert "was not paused" in box.command("resume").stdout
    assert box.stop() == 0
    assert not (box.state / "control.sock").exists()


def test_a_restart_ends_a_pause_and_takes_the_place_of_a_killed_socket(box: Box) -> None:
    box.start()
    assert box.command("pause").returncode == 0
    box.kill()
    assert (box.state / "control.sock").exists()
    nobody = box.command("pause")
    assert nobody.returncode == 69
    assert "no daemon answers" in nobody.stderr
    box.start()
    (box.inbox / "a").write_bytes(b"a")
    box.wait_recorded(1)


def test_a_scan_finds_at_once(box: Box) -> None:
    box.start()
    before = box.status()["last_scan"]
    done = box.command("scan")
    assert (done.returncode, done.stdout) == (0, "walking through 1 inbox\n")
    box.wait(lambda: box.status()["last_scan"] > before)
    live = json.loads(box.command("status", "--live", "--json").stdout)
    assert live["pid"] == box.processes[-1].pid


def test_a_reload_takes_the_new_configuration_and_keeps_process_and_totals(box: Box) -> None:
    daemon = box.start()
    (box.inbox / "a").write_bytes(b"a")
    box.wait_recorded(1)
    assert box.command("pause").returncode == 0
    box.configure('settle = "200ms"\nkey = "new/{relpath}{ext}"')
    done = box.command("reload")
    assert (done.returncode, done.stdout) == (0, "reloaded: box\n"), done.stderr + box.log()
    box.wait(lambda: box.phase() == "paused")
    assert box.command("resume").returncode == 0
    (box.inbox / "b").write_bytes(b"b")
    assert box.wait_recorded(2)[-1]["s3_object_key"] == "new/b.tar.gz"
    box.wait(lambda: box.status()["totals"]["uploaded"] == 2)
    assert box.status()["pid"] == daemon.pid
    assert box.stop() == 0


def test_an_upload_window_that_is_closed_holds_files_until_a_reload_opens_it(box: Box) -> None:
    box.configure(extra='[transfer]\nbandwidth = "0"')
    daemon = box.start()
    (box.inbox / "a").write_bytes(b"a")
    box.wait(lambda: "lets nothing be uploaded" in (box.status()["waiting"]["why"] or ""))
    assert box.phase() == "outside-window"
    assert box.status()["bandwidth"] == {"limit": 0, "until": None}
    assert "uploads wait" in box.command("status").stdout
    assert "lets nothing be uploaded" in box.command("show", "a").stdout
    assert box.ledger() == []
    box.configure(extra='[transfer]\nbandwidth = "5MB/s"')
    assert box.command("reload").returncode == 0
    box.wait_recorded(1)
    box.wait(lambda: box.status()["totals"]["uploaded"] == 1)
    beat = box.status()
    assert beat["bandwidth"]["limit"] == 5_000_000
    assert (beat["pid"], beat["destination"]["state"]) == (daemon.pid, "ok")
    assert box.log().count("daemon.ready") == 1  # it was the same life
    assert box.stop() == 0


def test_a_faulty_configuration_is_refused_and_the_old_one_goes_on(box: Box) -> None:
    daemon = box.start()
    good = box.config.read_text()
    box.config.write_text(good.replace("settle", "setle"))
    refused = box.command("reload")
    assert refused.returncode == 78
    assert "did you mean settle?" in refused.stderr
    daemon.send_signal(signal.SIGHUP)
    box.wait(lambda: "reload.refused" in box.log())
    for bad in (good.replace('"state"', '"elsewhere"'), good + '[log]\nlevel = "debug"\n'):
        box.config.write_text(bad)
        with pytest.raises(ConfigError, match="cannot change"):
            control.ask(box.state, Request(Command.RELOAD), timeout=PATIENCE)
    box.config.write_text(good.replace("http://127", "http://in valid"))
    refused = box.command("reload")
    assert (refused.returncode, "endpoint" in refused.stderr) == (78, True)
    (box.inbox / "a").write_bytes(b"a")
    box.wait_recorded(1)
    assert box.stop() == 0


def test_a_hangup_reloads_where_there_is_no_terminal(box: Box) -> None:
    daemon = box.start()
    box.configure('settle = "200ms"\nkey = "new/{relpath}{ext}"')
    daemon.send_signal(signal.SIGHUP)
    box.wait(lambda: "reload.done" in box.log())
    (box.inbox / "b").write_bytes(b"b")
    assert box.wait_recorded(1)[-1]["s3_object_key"] == "new/b.tar.gz"
    assert box.stop() == 0


def endless_key() -> str:
    return "/".join(["p" * 204] * 5)


def fail(box: Box, *names: str) -> None:
    """Let the daemon give files up: their keys are longer than any store takes."""
    for name in names:
        path = box.inbox / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    box.wait_recorded(len(names))
    assert {line["status"] for line in box.ledger()} == {"failed"}


def test_what_failed_is_put_back_after_the_fault_is_gone(box: Box) -> None:
    box.configure(prefix=endless_key())
    box.start()
    fail(box, "reels/a", "reels/b", "c")
    box.configure()
    assert box.command("reload").returncode == 0
    done = box.command("retry", "--group", "reels")
    assert done.returncode == 0, done.stderr
    assert {line.removeprefix("put back ") for line in done.stdout.splitlines()} == {
        f"{box.inbox}/reels/a",
        f"{box.inbox}/reels/b",
    }
    box.wait_recorded(5)
    assert (box.failed / "c").exists()
    by_id = next(line for line in box.ledger() if line["target_name"] == "c")["operation_id"]
    assert box.command("retry", by_id).returncode == 0
    assert box.wait_recorded(6)[-1]["status"] == "success"
    nothing = box.command("retry", "--all")
    assert nothing.returncode == 1
    assert "nothing to retry" in nothing.stderr
    assert box.command("retry").returncode == 2


def test_without_a_daemon_it_is_put_back_all_the_same_and_nothing_is_clobbered(box: Box) -> None:
    box.configure(prefix=endless_key())
    box.start()
    fail(box, "a", "b", "c")
    assert box.stop() == 0
    (box.inbox / "b").write_bytes(b"another b")
    (box.failed / "c").write_bytes(b"another c")
    done = box.command("retry", "--all")
    assert done.returncode == 1
    assert done.stdout == f"put back {box.inbox}/a\n"
    assert "is there already" in done.stderr
    assert "is not the file that failed" in done.stderr
    assert (box.inbox / "a").read_bytes() == b"a"
    assert (box.inbox / "b").read_bytes() == b"another b"
    assert (box.failed / "b").read_bytes() == b"b"
    assert (box.failed / "c").read_bytes() == b"another c"


def test_a_cancelled_file_stays_until_it_is_asked_for(box: Box) -> None:
    with Dam(box.endpoint_url) as dam:
        box.configure(endpoint_url=dam.url)
        box.start()
        dam.hold(b"PUT ")
        (box.inbox / "big").write_bytes(os.urandom(60 << 20))
        (box.inbox / "small").write_bytes(b"small")
        box.wait(lambda: dam.holding >= 2 and box.open_uploads())
        done = box.command("cancel", "big")
        stays = "it stays there until it changes, or `hotfolder retry` names it"
        assert (done.returncode, done.stdout) == (0, f"cancelled {box.inbox}/big; {stays}\n")
        assert box.open_uploads() == []
        (line,) = box.ledger()
        assert (line["status"], line["target_name"]) == ("cancelled", "big")
        assert "cancelled by" in line["error_message"]
        again = box.command("cancel", "big")
        assert (again.returncode, "already" in again.stderr) == (1, True)
        assert box.command("cancel", str(box.inbox / "small")).returncode == 0
        assert box.command("cancel", "nobody").returncode == 1
        dam.release()
        assert box.command("scan").returncode == 0
        box.kill()  # it holds over a restart
        box.start()
        box.wait(lambda: box.status()["left"]["count"] == 2)
        assert "cancelled by" in box.command("show", "small").stdout
        (box.inbox / "small").write_bytes(b"changed")
        assert box.command("retry", "big").stdout == f"tried now {box.inbox}/big\n"
        lines = box.wait_recorded(4)
        assert sorted((line["target_name"], line["status"]) for line in lines) == [
            ("big", "cancelled"),
            ("big", "success"),
            ("small", "cancelled"),
            ("small", "success"),
        ]
        assert box.stop() == 0
    box.restore("big.tar.gz", box.root / "restored")


def test_a_paused_file_can_be_cancelled_before_it_is_begun(box: Box) -> None:
    box.start()
    box.command("pause")
    (box.inbox / "a").write_bytes(b"a")
    box.wait(lambda: box.status()["waiting"]["count"] == 1)
    assert box.command("cancel", "a").returncode == 0
    box.command("resume")
    (box.inbox / "b").write_bytes(b"b")
    lines = box.wait_recorded(2)
    assert [(line["target_name"], line["status"]) for line in lines] == [
        ("a", "cancelled"),
        ("b", "success"),
    ]
    too_late = box.command("cancel", "b")
    assert too_late.returncode == 1


#: A hotfolder that lets what flies land for as long as it takes.
PATIENT = """
import hotfolder.daemon
from hotfolder.__main__ import main
assert hotfolder.daemon._DRAIN
hotfolder.daemon._DRAIN = float("inf")
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_twice_it_leaves_at_once_although_the_store_hangs(box: Box, number: int) -> None:
    with Dam(box.endpoint_url) as dam:
        box.configure(endpoint_url=dam.url)
        daemon = box.spawn(sys.executable, "-c", PATIENT, "run", "--config", str(box.config))
        box.processes.append(daemon)
        box.wait(lambda: box.phase() == "idle")
        dam.hold()
        (box.inbox / "big").write_bytes(os.urandom(60 << 20))
        (box.inbox / "small").write_bytes(b"small")
        box.wait(lambda: dam.holding >= 2)
        daemon.send_signal(number)
        box.wait(lambda: box.phase() == "draining")
        assert box.stop(number) in {0, 1}
    assert box.ledger() == []
    box.configure()
    box.start()
    box.wait_recorded(2)
    assert sorted(line["target_name"] for line in box.ledger()) == ["big", "small"]
    assert {line["status"] for line in box.ledger()} <= {"success", "skipped"}  # what was held went on
    assert list(box.inbox.iterdir()) == []


def test_a_reload_leads_away_from_a_store_that_hangs(box: Box) -> None:
    with Dam(box.endpoint_url) as dam:
        box.configure(endpoint_url=dam.url)
        box.start()
        dam.hold()
        (box.inbox / "big").write_bytes(os.urandom(60 << 20))
        box.wait(lambda: dam.holding >= 1)
        box.configure()
        done = box.command("reload")
        assert done.returncode == 0, done.stderr
        (line,) = box.wait_recorded(1)
        assert line["status"] == "success"
        assert box.stop() == 0


def test_a_closed_terminal_stops_it(box: Box) -> None:
    ours, its = os.openpty()
    box.start(stdin=its)
    assert box.stop(signal.SIGHUP) == 0
    assert "reload" not in box.log()
    os.close(ours)
    os.close(its)
