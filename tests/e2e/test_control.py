"""The running daemon, asked: pause, resume, scan, reload, retry, cancel; and the signals."""

import json
import signal
import stat

import pytest

from hotfolder.adapters import control
from hotfolder.core.control import Command, Request
from hotfolder.core.errors import ConfigError
from tests.support.box import Box


def test_a_pause_starts_nothing_and_resume_goes_on(box: Box) -> None:
    box.start()
    assert stat.S_IMODE((box.state / "control.sock").stat().st_mode) == 0o660
    done = box.command("pause")
    assert done.returncode == 0, done.stderr
    assert "paused, since" in done.stdout
    (box.inbox / "a").write_bytes(b"a")
    box.wait(
        lambda: box.status()["waiting"]["why"] or ("" and "paused" in box.status()["waiting"]["why"])
    )
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
    box.configure('settle = "200ms"\nwatcher = "polling"' if False else 'settle = "200ms"')
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
    assert box.phase() == "paused"
    assert box.command("resume").returncode == 0
    (box.inbox / "b").write_bytes(b"b")
    assert box.wait_recorded(2)[-1]["s3_object_key"] == "new/b.tar.gz"
    box.wait(lambda: box.status()["totals"]["uploaded"] == 2)
    assert box.status()["pid"] == daemon.pid
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
            control.ask(box.state, Request(Command.RELOAD), timeout=30)
    box.config.write_text(good.replace('auth = "config"', 'auth = "keyring"'))
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
