"""What an operator meets: signals, systemd, outages, faulty configuration, exit codes, secrets."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.support.box import HOTFOLDER, PATIENCE, Box
from tests.support.ports import closed_port


def test_systemd_hears_ready_status_watchdog_and_stopping(box: Box) -> None:
    address = str(box.root / "notify")
    heard = ""

    def listen(listener: socket.socket) -> None:
        nonlocal heard  # read all the time: the kernel queues ten messages and no more
        while "STOPPING=1" not in heard:
            heard += listener.recv(4096).decode() + "\n"

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(PATIENCE)
        ear = threading.Thread(target=listen, args=[listener])
        ear.start()
        box.start(NOTIFY_SOCKET=address)
        (box.inbox / "a").write_bytes(b"a")
        box.wait(lambda: "STATUS=idle: 1 uploaded" in heard)
        assert box.stop(signal.SIGINT) == 0
        ear.join()
    assert heard.index("READY=1") < heard.index("WATCHDOG=1") < heard.index("STOPPING=1")


def test_a_second_daemon_on_the_same_state_is_refused(box: Box) -> None:
    box.start()
    second = box.command("run")
    assert second.returncode == 75
    assert "holds" in second.stderr
    assert "Traceback" not in second.stderr


def other_box(box: Box, **settings: str) -> Box:
    """A second daemon's world: a state folder of its own, the same inbox, the same bucket."""
    (box.root / "other").mkdir()
    other = Box(
        box.root / "other",
        endpoint_url=box.endpoint_url,
        access_key=box.access_key,
        secret_key=box.secret_key,
        bucket=box.bucket,
    )
    own = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    other.config.write_text(
        other.config.read_text().replace('inbox = "inbox"', f'inbox = "{box.inbox}"\n{own}')
    )
    return other


@pytest.mark.parametrize("command", ["run", "once"])
def test_a_second_daemon_on_the_same_inbox_is_refused(box: Box, command: str) -> None:
    daemon = box.start()
    other = other_box(box)
    second = other.command(command)
    assert second.returncode == 75, second.stderr
    assert f"({daemon.pid}, " in second.stderr
    assert str(box.inbox) in second.stderr
    assert "Traceback" not in second.stderr
    told = json.loads(other.command("check", "--json").stdout)
    assert str(daemon.pid) in next(
        check["what"] for check in told["checks"] if check["id"].endswith("keeper")
    )
    own = box.command("check", "--json").stdout
    assert "keeper" not in own
    assert list(box.inbox.iterdir()) == [], "nothing is written into the inbox"
    uploaded = other.command("upload", str(box.config))  # needs no inbox
    assert uploaded.returncode == 0, uploaded.stderr
    box.kill()
    assert other.command("once").returncode == 0, "the kernel let go of it"


def test_an_inbox_that_appears_and_is_kept_by_another_daemon_is_waited_for(box: Box) -> None:
    os.rmdir(box.inbox)
    other = other_box(box)
    other.start(wait=False)
    try:
        other.wait(lambda: other.phase() == "inbox-missing")
        box.start(wait=False)
        box.wait(lambda: box.phase() == "inbox-missing")
        box.inbox.mkdir()
        box.wait(lambda: sorted([box.phase(), other.phase()]) == ["idle", "inbox-missing"])
        first, second = (box, other) if box.phase() == "idle" else (other, box)
        second.wait(lambda: "keeps the inbox" in str(second.status()["hold"]))
        (box.inbox / "a").write_bytes(b"data")
        first.wait_recorded(1)
        first.stop()
        second.wait(lambda: second.phase() == "idle")
        (box.inbox / "b").write_bytes(b"data")
        second.wait_recorded(1)
        assert second.log().count("inbox.kept") == 1, "told once"
    finally:
        other.close()


def test_a_reload_keeps_the_inboxes_and_takes_no_inbox_of_another(box: Box) -> None:
    box.start()
    other = other_box(box)
    free = other.root / "inbox"
    other.config.write_text(other.config.read_text().replace(str(box.inbox), str(free)))
    other.start()
    try:
        second = f'[folders.second]\ninbox = "{box.inbox}"\nkey = "2/{{relpath}}"\n'
        first = other.config.read_text().replace("settle", 'key = "1/{relpath}"\nsettle', 1)
        other.config.write_text(first + second)
        refused = other.command("reload")
        assert (refused.returncode, "keeps the inbox" in refused.stderr) == (1, True), refused.stderr
        box.stop()
        assert other.command("reload").returncode == 0, other.log()
        assert box.command("once").returncode == 75
        (box.inbox / "a").write_bytes(b"data")
        (free / "b").write_bytes(b"data")
        other.wait_recorded(2)
    finally:
        other.close()


def test_run_waits_for_a_missing_inbox_and_once_says_69(box: Box) -> None:
    os.rmdir(box.inbox)
    once = box.command("once")
    assert once.returncode == 69
    assert str(box.inbox) in once.stderr
    box.start(wait=False)
    box.wait(lambda: box.phase() == "inbox-missing")
    box.inbox.mkdir()
    (box.inbox / "late").write_bytes(b"late")
    (line,) = box.wait_recorded(1)
    assert line["target_name"] == "late"
    assert box.stop() == 0


def test_an_inbox_that_is_remade_is_watched_again(box: Box) -> None:
    box.start()
    os.rmdir(box.inbox)
    box.wait(lambda: box.phase() == "inbox-missing")
    box.inbox.mkdir()
    box.wait(lambda: box.phase() == "idle")
    (box.inbox / "again").write_bytes(b"again")
    box.wait_recorded(1)  # by a hint: the next scan is five minutes away


def test_an_inbox_that_comes_late_gets_its_outputs_then_and_not_before(box: Box) -> None:
    box.inbox.rmdir()  # as a volume that is not mounted yet
    box.start(wait=False)
    assert not box.completed.exists()
    told = box.command("status").stdout
    assert f"{box.inbox} is not there, or not readable" in told
    box.inbox.mkdir()
    (box.inbox / "a").write_bytes(b"data")
    box.wait(lambda: (box.completed / "a").exists())


def test_once_ends_and_says_69_where_completed_refuses(box: Box) -> None:
    (box.inbox / "x").mkdir()
    (box.inbox / "x/file").write_bytes(b"data")
    box.completed.mkdir()
    for name in ("x", "x~folder"):
        (box.completed / name).write_bytes(b"in the way")
    done = box.command("once")
    assert done.returncode == 69, done.stderr
    assert "cannot move x/file" in done.stderr
    assert (box.inbox / "x/file").exists()


def test_once_says_what_it_left_and_exits_with_1(box: Box) -> None:
    (box.inbox / "link").symlink_to("/etc/hostname")
    (box.inbox / "good").write_bytes(b"data")
    done = box.command("once")
    assert done.returncode == 1
    assert f"left {box.inbox}/link: a symbolic link" in done.stderr
    assert "1 uploaded" in done.stdout


def test_upload_of_a_link_or_of_nothing_is_said_and_the_rest_goes_on(box: Box, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path / "good").write_bytes(b"data")
    done = box.command("upload", "link", "nothing", "good")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "1 uploaded" in done.stdout
    assert "2 left" in done.stdout


def test_a_store_on_this_machine_is_not_asked_through_a_proxy(box: Box) -> None:
    dead = "http://127.0.0.1:9"
    box.start(http_proxy=dead, HTTP_PROXY=dead, https_proxy=dead)
    (box.inbox / "a").write_bytes(b"data")
    box.wait(lambda: (box.completed / "a").exists())


def test_run_waits_for_an_absent_store_and_delivers_when_it_comes(tmp_path: Path) -> None:
    port = closed_port()
    box = Box(
        tmp_path,
        endpoint_url=f"http://127.0.0.1:{port}",
        access_key="HFTESTKEY",
        secret_key="not-a-real-secret-key",
        bucket="late",
    )
    (box.inbox / "patient").write_bytes(b"patient")
    once = box.command("once")
    assert once.returncode == 69, once.stderr
    assert str(port) in once.stderr
    with contextlib.closing(box):
        box.start(wait=False)
        box.wait(lambda: box.phase() == "destination-unreachable")
        assert box.status()["destination"]["state"] == "unreachable"
        box.wait(lambda: box.status()["waiting"]["count"] == 1)
        store = SeaweedFS(
            tmp_path / "store", access_key=box.access_key, secret_key=box.secret_key, s3_port=port
        )
        with store:
            box.wait(lambda: box.status()["destination"]["state"] == "no-bucket")
            assert (box.inbox / "patient").exists()
            box.s3().create_bucket(Bucket="late")
            (line,) = box.wait_recorded(1)
            assert line["status"] == "success"
            assert line["attempts"] == 1  # an outage is not a failure of the file
            assert box.stop() == 0
    assert box.log().count("destination.held") == 1


def test_wrong_credentials_hold_the_destination_and_show_no_secret(box: Box) -> None:
    secret = "wrong-secret-that-nobody-may-see"
    (box.root / "credentials").write_text(
        f"[default]\naws_access_key_id = WRONG\naws_secret_access_key = {secret}\n"
    )
    (box.inbox / "a").write_bytes(b"a")
    once = box.command("once", "--debug")
    assert once.returncode == 69
    assert secret not in once.stdout + once.stderr
    box.start("--debug", wait=False)
    box.wait(lambda: box.status().get("destination", {}).get("state") == "denied")
    assert (box.inbox / "a").exists()
    assert box.ledger() == []
    assert box.stop() == 0
    assert secret not in box.log() + json.dumps(box.status())


def test_a_good_secret_is_not_printed_either(box: Box) -> None:
    box.start("--debug")
    (box.inbox / "a").write_bytes(b"a")
    box.wait_recorded(1)
    shown = box.command("config", "show").stdout
    box.stop()
    assert box.secret_key not in box.log() + shown + (box.state / "ledger.jsonl").read_text()


def test_upload_leaves_the_originals_and_skips_what_is_there(box: Box) -> None:
    tree = box.root / "elsewhere"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_bytes(b"a")
    (tree / "sub" / "b.txt").write_bytes(b"b" * 100_000)
    (tree / ".DS_Store").write_bytes(b"junk")
    first = box.command("upload", str(tree))
    assert first.returncode == 0, first.stderr
    assert sorted(box.keys()) == ["elsewhere/a.txt.tar.gz", "elsewhere/sub/b.txt.tar.gz"]
    assert (tree / "a.txt").exists()
    second = box.command("upload", str(tree), str(tree / "missing"))
    assert second.returncode == 1
    assert "missing" in second.stderr
    assert [line["status"] for line in box.ledger()] == ["success"] * 2 + ["skipped"] * 2
    assert box.ledger()[0]["command_args"][:2] == ["upload", str(tree)]
    assert box.command("history").stdout.count("skipped") == 2


def test_status_and_history_tell_what_happened(box: Box) -> None:
    assert "no heartbeat" in box.command("status").stderr
    assert "nothing" in box.command("history").stdout
    (box.inbox / "odd\nname").write_bytes(b"x" * 5000)
    assert box.command("once").returncode == 0
    told = box.command("status").stdout
    assert "stopped" in told
    assert "1 uploaded" in told
    history = box.command("history").stdout
    assert "odd\\nname" in history
    (entry,) = [json.loads(line) for line in box.command("history", "--json").stdout.splitlines()]
    assert entry["target_name"] == "odd\nname"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the table [destination] is missing"),
        ("[destination]\n[folders.a]\ninbox='i'\n", "destination.bucket is missing"),
        ("[destination]\nbucket=''\n[folders.a]\ninbox='i'\n", "destination.bucket"),
        ("[destination]\nbukket='b'\n[folders.a]\ninbox='i'\n", "did you mean bucket?"),
        ("[destination]\nbucket='b'\n", "folders"),
        ("[destination]\nbucket='b'\n[folders.a]\n", "folders.a.inbox is missing"),
        ("[destination]\nbucket='b'\n[folders.a]\ninbox='i'\nsettel='5s'\n", "did you mean settle?"),
        ("[destination]\nbucket='b'\n[folders.a]\ninbox='i'\nsettle='5 parsecs'\n", "5m"),
        ("[destination]\nbucket='b'\n[folders.a]\ninbox='i'\nkey='{nope}'\n", "{relpath}"),
        (
            "[destination]\nbucket='b'\n[folders.a]\ninbox='i'\ncompleted='i/c'\n",
            "must not lie in each other",
        ),
        ("[destination]\nbucket='b'\n[folders.a]\ninbox='i'\n[folders.b]\ninbox='j'\n", "the same key"),
        ("this is not TOML", "not valid TOML"),
    ],
)
def test_a_faulty_configuration_is_a_sentence_and_exit_78(
    tmp_path: Path, text: str, expected: str
) -> None:
    config = tmp_path / "hotfolder.toml"
    config.write_text(text)
    done = subprocess.run(
        [*HOTFOLDER, "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 78
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_is_a_sentence(box: Box) -> None:
    (box.inbox / "a").write_bytes(b"data")
    assert box.command("once").returncode == 0
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*HOTFOLDER, "history", "--config", str(box.config)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=150,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "hotfolder: cannot write the output: No space left on device\n"


def test_an_absent_configuration_says_how_to_write_one(tmp_path: Path) -> None:
    config = tmp_path / "hotfolder.toml"
    absent = subprocess.run(
        [*HOTFOLDER, "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert absent.returncode == 78
    assert "hotfolder config init" in absent.stderr
    wrote = subprocess.run(
        [*HOTFOLDER, "config", "init", "--config", str(config)],
        capture_output=True,
        timeout=150,
        check=False,
    )
    assert wrote.returncode == 0
    shown = subprocess.run(
        [*HOTFOLDER, "config", "show", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert 'bucket = "my-bucket"' in shown.stdout


def test_the_sandbox_starts_delivers_stops_all_and_finds_its_data_again(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    box = tmp_path / "sandbox"
    ledger = box / "state" / "ledger.jsonl"
    for round_number in (1, 2):
        process = subprocess.Popen(
            [*HOTFOLDER, "sandbox", str(box)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        request.addfinalizer(process.kill)  # and its store with it
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        assert str(box / "inbox") in lines[0]
        (box / "inbox" / f"file{round_number}.txt").write_bytes(b"hello")
        deadline = time.monotonic() + PATIENCE
        while not ledger.exists() or ledger.read_text().count("\n") < round_number:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        look = lines[2].removeprefix("Look with").partition("(")[0]
        told = subprocess.run(shlex.split(look), capture_output=True, text=True, timeout=150, check=True)
        assert "delivered" in told.stdout
        second = subprocess.run(
            [*HOTFOLDER, "sandbox", str(box)], capture_output=True, text=True, timeout=150, check=False
        )
        assert second.returncode == 75, second.stderr
        assert "hotfolder sandbox DIR" in second.stderr
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=150)
        assert process.returncode == 0, errors
        secret = (box / "credentials").read_text().split("aws_secret_access_key = ")[1].split()[0]
        assert secret not in "".join(lines) + out + errors
        port = int(lines[3].split("127.0.0.1:")[1].split("/")[0])
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert (box / "credentials").stat().st_mode & 0o077 == 0
    assert [json.loads(line)["status"] for line in ledger.read_text().splitlines()] == ["success"] * 2


def test_outputs_that_cannot_be_made_end_the_start_with_a_sentence(box: Box) -> None:
    (box.root / "completed").write_bytes(b"a file in the way")
    done = box.command("run")
    assert done.returncode == 78
    assert f"cannot make {box.completed}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_that_may_open_no_more_files_says_so(box: Box) -> None:
    code = (
        "import resource, sys, hotfolder.cli as cli, hotfolder.service\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (5, hard))\n"
        f"sys.argv = ['hotfolder', 'once', '--config', {str(box.config)!r}]\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=box.environment()
    )
    assert "hotfolder: this process may open no more files" in done.stderr
    assert "LimitNOFILE=" in done.stderr
    assert done.returncode == 69
