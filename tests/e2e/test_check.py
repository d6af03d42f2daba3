"""The doctor on a good set-up and on broken ones: the trouble, the fix, the exit code, no secret."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import HOTFOLDER, Box
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]


def checked(box: Box, *wrapper: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and each check by its id."""
    done = subprocess.run(
        [*wrapper, *HOTFOLDER, "check", "--json", "--config", str(box.config)],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=box.root,
        env=box.environment(),
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert box.secret_key not in done.stdout + done.stderr
    document = json.loads(done.stdout)
    checks = {check["id"]: check for check in document["checks"]}
    assert len(checks) == len(document["checks"])
    assert document["errors"] == sum(check["state"] == "error" for check in checks.values())
    assert all(check["fix"] for check in checks.values() if check["state"] == "warning")
    return done.returncode, checks


def errors(checks: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, check in checks.items() if check["state"] == "error"]


def private(box: Box) -> None:
    (box.root / "credentials").chmod(0o600)


def test_a_good_set_up_is_fine_while_the_daemon_runs_and_nothing_is_left(box: Box) -> None:
    private(box)
    daemon = box.start()
    code, checks = checked(box)
    assert code == 0
    assert errors(checks) == []
    assert checks["daemon"]["numbers"] == {"pid": daemon.pid}
    assert checks["destination.checksum"]["state"] == "ok"
    assert checks["destination.overwrite"]["state"] == "ok"
    assert abs(checks["destination.clock"]["numbers"]["skew_seconds"]) < 60
    assert box.keys() == []
    assert list(box.inbox.iterdir()) == list(box.completed.iterdir()) == list(box.failed.iterdir()) == []
    assert box.stop() == 0
    assert box.ledger() == []


def test_the_lines_for_people_end_in_a_verdict(box: Box) -> None:
    private(box)
    done = box.command("check")
    *lines, last = done.stdout.splitlines()
    assert last.endswith(("fine", "warning", "warnings"))
    assert all(line.startswith(("ok ", "warning ", " ")) for line in lines)
    box.configure(bucket="not-there")
    done = box.command("check")
    assert done.returncode == 1
    assert "error    ListObjectsV2 for bucket 'not-there': NoSuchBucket" in done.stdout
    assert "\n         create the bucket, or correct `bucket` in [destination]\n" in done.stdout
    assert "1 error" in done.stdout.splitlines()[-1]


def test_a_locale_without_utf8_gets_escapes_and_no_traceback(box: Box) -> None:
    os.rmdir(box.inbox)
    box.config.write_text(box.config.read_text().replace('inbox = "inbox"', 'inbox = "inb\u00f6x"'))
    done = subprocess.run(
        [*HOTFOLDER, "check", "--config", str(box.config)],
        capture_output=True,
        text=True,
        timeout=150,
        env=box.environment() | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 1
    assert "inb\\xf6x is not there" in done.stdout
    assert done.stderr == ""


def test_nothing_is_made_by_looking(box: Box) -> None:
    before = sorted(box.root.rglob("*"))
    checked(box)
    assert sorted(box.root.rglob("*")) == before


def test_a_wrong_secret_an_absent_bucket_no_store_no_keys(box: Box) -> None:
    box.configure(bucket="not-there")
    assert errors(checked(box)[1]) == ["destination.bucket"]
    box.configure(endpoint_url="http://127.0.0.1:9")
    code, checks = checked(box)
    assert (code, errors(checks)) == (1, ["destination.bucket"])
    assert "no connection" in checks["destination.bucket"]["what"]
    assert "destination.clock" not in checks
    box.configure()
    keys = (box.root / "credentials").read_text()
    (box.root / "credentials").write_text(keys.replace(box.secret_key, "another-secret"))
    code, checks = checked(box)
    assert (code, errors(checks)) == (1, ["destination.bucket"])
    assert "SignatureDoesNotMatch" in checks["destination.bucket"]["what"]
    assert "another-secret" not in json.dumps(checks)
    (box.root / "credentials").write_text("")
    code, checks = checked(box)
    assert (code, errors(checks)) == (1, ["destination.credentials"])
    assert "no key pair" in checks["destination.credentials"]["what"]


def test_a_store_that_hangs_is_given_up_soon(box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        box.configure(endpoint_url=f"http://127.0.0.1:{mute.getsockname()[1]}")
        code, checks = checked(box)
    assert (code, errors(checks)) == (1, ["destination.bucket"])
    assert "no answer in time (within 5 s)" in checks["destination.bucket"]["what"]


def test_what_the_daemon_waits_for_is_an_error_of_the_check(box: Box) -> None:
    box.start()
    box.command("pause")
    box.wait(lambda: box.status()["paused"])
    code, checks = checked(box)
    assert code == 0
    assert checks["daemon.paused"]["commands"] == ["hotfolder resume"]
    box.inbox.rmdir()
    box.wait(lambda: box.status()["hold"])
    assert "lacks the volume" in checked(box)[1]["daemon.hold"]["what"]


@pytest.mark.parametrize(("shift", "words"), [("+1h", "1h ahead of"), ("-20m", "behind")])
def test_a_clock_that_is_off_is_named(box: Box, shift: str, words: str) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("needs faketime, which moves the clock of one process")
    code, checks = checked(box, "faketime", "-f", shift)
    assert (code, errors(checks)) == (1, ["destination.clock", "destination.bucket"])
    assert words in checks["destination.clock"]["what"]
    assert words in checks["destination.bucket"]["what"]
    assert "RequestTimeTooSkewed" in checks["destination.bucket"]["what"]
    assert checks["destination.clock"]["commands"] == ["sudo timedatectl set-ntp true"]


def test_too_few_watches_are_named_with_the_fix(box: Box) -> None:
    (box.inbox / "a/b/c/d/e/f").mkdir(parents=True)
    limited = [
        "unshare",
        "-Ur",
        "sh",
        "-c",
        'echo 5 > /proc/sys/user/max_inotify_watches; exec "$@"',
        "-",
    ]
    tried = subprocess.run([*limited, "true"], capture_output=True, check=False)
    if tried.returncode != 0 or tried.stderr:
        pytest.skip("needs a user namespace of its own")
    code, checks = checked(box, *limited)
    assert code == 0
    assert checks["inotify.watches"]["state"] == "warning"
    assert checks["inotify.watches"]["numbers"]["needed"] == 7
    assert checks["inotify.watches"]["commands"] == ["echo 524288 > /proc/sys/user/max_inotify_watches"]


def test_a_full_disk_is_an_error(box: Box, small_disk: Path) -> None:
    (small_disk / "inbox").mkdir()
    os.rmdir(box.inbox)
    box.configure(f'settle = "1s"\ncompleted = "{small_disk}/completed"\nfailed = "{small_disk}/failed"')
    text = box.config.read_text().replace('inbox = "inbox"', f'inbox = "{small_disk}/inbox"')
    box.config.write_text(text.replace('state_dir = "state"', f'state_dir = "{small_disk}/state"'))
    (small_disk / "state").mkdir()
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    code, checks = checked(box)
    assert code == 1
    assert errors(checks) == ["state_dir", "state_dir.space"]  # the inbox is on the same disk
    assert "No space left" in checks["state_dir"]["what"]
    assert "only 0 bytes" in checks["state_dir.space"]["what"]


def test_folders_that_cannot_work(box: Box) -> None:
    os.rmdir(box.inbox)
    code, checks = checked(box)
    assert (code, errors(checks)) == (1, ["folders.box.inbox"])
    box.inbox.mkdir()
    box.completed.write_text("a file where a folder must be")
    code, checks = checked(box)
    assert (code, errors(checks)) == (1, ["folders.box.completed"])


def test_a_configuration_that_cannot_be_used_is_78_in_both_forms(box: Box) -> None:
    box.config.write_text("[destination]\nbuckett = 1\n")
    code, checks = checked(box)
    assert (code, errors(checks)) == (78, ["config"])
    done = box.command("check")
    assert done.returncode == 78
    assert "did you mean bucket?" in done.stdout
    assert done.stdout.endswith("1 error\n")


def test_the_spool_is_told_where_a_folder_uses_it(box: Box) -> None:
    private(box)
    assert "folders.box.spool" not in checked(box)[1]
    box.configure('spool = "disk"')
    code, checks = checked(box)
    assert code == 0
    assert str(box.state / "spool") in checks["folders.box.spool"]["what"]
    assert checks["folders.box.spool"]["numbers"]["room_bytes"] > 0
    assert not (box.state / "spool").exists(), "check changes nothing"
