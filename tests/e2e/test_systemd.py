"""The units as installed, under the real systemd, with every restriction in force."""

import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from hotfolder.seaweed import SeaweedFS
from tests.support.machine import CannotBoot, Machine, booted

_BUCKET = "units"
_PEOPLE = "u alice - - /\nm alice hotfolder\n"
#: Here a call that the filter refuses ends the process, so that none goes unnoticed. Allowed is the one
#: that the S3 engine asks for (memory near its processor) and, as the instance shows, does without.
_STRICTER = ("SystemCallErrorNumber=kill", "SystemCallFilter=set_mempolicy")
_HOLD_OPEN = "import sys,time; f = open(sys.argv[1], 'xb'); f.write(b'half'); f.flush(); time.sleep(600)"


@pytest.fixture(scope="session")
def s3(seaweed: SeaweedFS) -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=seaweed.endpoint_url,
        aws_access_key_id=seaweed.access_key,
        aws_secret_access_key=seaweed.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=_BUCKET)
    return client


@pytest.fixture(scope="session")
def machine(seaweed: SeaweedFS, s3: Any) -> Iterator[Machine]:
    """A machine where the service is installed as docs/operations.md says, but not started."""
    with contextlib.ExitStack() as stack:
        try:
            machine = stack.enter_context(booted())
        except CannotBoot as reason:
            pytest.skip(f"no machine can be booted here: {reason}")
        (machine.root / "etc/sysusers.d/people.conf").write_text(_PEOPLE)
        machine.run("systemd-sysusers")
        made = machine.run("systemd-tmpfiles", "--create", "hotfolder.conf")
        assert made.stdout + made.stderr == ""
        secret = machine.root / "etc/hotfolder/s3.credentials"
        secret.touch(mode=0o600)
        secret.write_text(
            f"[default]\naws_access_key_id = {seaweed.access_key}\n"
            f"aws_secret_access_key = {seaweed.secret_key}\n"
        )
        configure(machine, "hotfolder", seaweed.endpoint_url)
        drop_in(machine, "LoadCredential=s3:/etc/hotfolder/s3.credentials", *_STRICTER)
        yield machine


def configure(
    machine: Machine, name: str, endpoint: str, *, unit: str = "hotfolder", sub: str = ""
) -> None:
    root = f"/srv/hotfolder{sub}"
    (machine.root / f"etc/hotfolder/{name}.toml").write_text(
        f'[destination]\nbucket = "{_BUCKET}"\nprefix = "{name}"\nendpoint_url = "{endpoint}"\n'
        'addressing_style = "path"\nauth = "config"\n'
        f'credentials_file = "/run/credentials/{unit}.service/s3"\n'
        f'[folders.main]\ninbox = "{root}/inbox"\nsettle = "500ms"\n'
        f'[folders.zst]\ninbox = "{root}/inbox-zst"\nsettle = "500ms"\ncompression = "tar.zst"\n'
        'key = "zst/{folder}/{relpath}{ext}"\n[status]\ninterval = "200ms"\n'
    )


def drop_in(machine: Machine, *lines: str, unit: str = "hotfolder", name: str = "test") -> None:
    folder = machine.root / f"etc/systemd/system/{unit}.service.d"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.conf").write_text("\n".join(["[Service]", *lines, ""]))
    machine.run("systemctl", "daemon-reload")


def heartbeat(machine: Machine, state: str = "") -> dict[str, Any]:
    try:
        return dict(json.loads((machine.root / f"var/lib/hotfolder{state}/status.json").read_text()))
    except FileNotFoundError:
        return {}


def ledger(machine: Machine, state: str = "") -> list[dict[str, Any]]:
    path = machine.root / f"var/lib/hotfolder{state}/ledger.jsonl"
    if not path.exists():
        return []
    whole, _, _ = path.read_text().rpartition("\n")  # a line may be in the making
    return [json.loads(line) for line in whole.splitlines()]


def start(machine: Machine) -> None:
    machine.run("systemctl", "reset-failed", "hotfolder", check=False)
    started = machine.run("systemctl", "start", "hotfolder", check=False)
    assert started.returncode == 0, machine.log()
    machine.wait(lambda: heartbeat(machine).get("phase") == "idle")


@pytest.fixture(scope="session")
def running(machine: Machine) -> Machine:
    machine.run(
        "install", "-d", "-m", "2770", "-o", "hotfolder", "-g", "hotfolder", "/srv/hotfolder/inbox-zst"
    )
    start(machine)
    return machine


def stored_keys(s3: Any) -> set[str]:
    found = s3.list_objects_v2(Bucket=_BUCKET).get("Contents", [])
    return {entry["Key"] for entry in found if ".hotfolder-check/" not in entry["Key"]}


def test_files_of_every_kind_go_through_under_all_restrictions(running: Machine, s3: Any) -> None:
    # The tests of this file share the machine, and come in any order.
    inbox, before = running.root / "srv/hotfolder/inbox", len(ledger(running))
    restarts, stored = running.property("NRestarts"), stored_keys(s3)
    big = secrets.token_bytes(30 << 20)  # parts, by boto3
    for folder in (inbox, running.root / "srv/hotfolder/inbox-zst"):
        (folder / "big").write_bytes(big)
        burst = inbox.parent / "burst"
        burst.mkdir()
        burst.chmod(0o777)
        for number in range(50):  # single requests, by the event loop
            (burst / f"small {number}").write_bytes(b"text " * number)
        burst.rename(folder / "burst")  # all at once: that many are packed in a process of their own
    for path in inbox.parent.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # root's; only the lease of CAP_LEASE tells that nobody writes
    running.wait(lambda: len(ledger(running)) >= before + 102)
    lines = ledger(running)[before:]
    assert {line["status"] for line in lines} == {"success"}
    assert max(line["parts"] for line in lines) > 1
    assert len(stored_keys(s3) - stored) == 102
    assert (inbox.parent / "completed/big").read_bytes() == big
    assert running.property("NRestarts") == restarts
    packing = ("pgrep", "-u", "hotfolder", "-f", "hotfolder.packing_child")
    running.wait(lambda: running.run(*packing, check=False).returncode == 0)
    running.wait(lambda: heartbeat(running)["totals"]["uploaded"] >= 102)
    uploaded = heartbeat(running)["totals"]["uploaded"]
    running.wait(lambda: running.property("StatusText").startswith(f"idle: {uploaded} uploaded"))


def test_it_has_one_capability_and_no_more(running: Machine) -> None:
    status = running.run("cat", f"/proc/{running.property('MainPID')}/status").stdout
    sets = dict(re.findall(r"^(Cap\w+|NoNewPrivs|Seccomp):\s+(\w+)$", status, re.MULTILINE))
    lease = f"{1 << 28:016x}"
    assert sets == {
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), lease),
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_members_of_the_group_drop_and_the_lease_vetoes_while_they_write(running: Machine) -> None:
    before = len(ledger(running))
    running.run("sh", "-c", "umask 022; mkdir /srv/hotfolder/inbox/trip", user="alice")
    writer = (
        "systemd-run",
        "--unit=writer",
        "--uid=alice",
        "-p",
        "UMask=022",
        "/opt/python/bin/python3",
    )
    running.run(*writer, "-c", _HOLD_OPEN, "/srv/hotfolder/inbox/trip/open")
    running.wait(lambda: (running.root / "srv/hotfolder/inbox/trip/open").exists())
    running.run("sh", "-c", "umask 022; echo x > /srv/hotfolder/inbox/trip/closed", user="alice")
    running.wait(lambda: len(ledger(running)) > before)
    time.sleep(3)  # six times `settle`
    assert [line["target_name"] for line in ledger(running)[before:]] == ["closed"]
    running.run("systemctl", "stop", "writer")
    running.wait(lambda: len(ledger(running)) == before + 2)
    (line,) = ledger(running)[before + 1 :]
    assert (line["target_name"], line["user"], line["status"]) == ("open", "alice", "success")
    running.run("rm", "-r", "/srv/hotfolder/completed/trip", user="alice")  # and take away what is done


def tried(machine: Machine, unit: str, code: str, *lines: str) -> str:
    """What Python prints of `code` in the sandbox of the template, changed by `lines`."""
    (machine.root / f"etc/hotfolder/{unit}.toml").touch()
    (machine.root / f"opt/{unit}.py").write_text(code)
    run = f"ExecStart=/opt/hotfolder/bin/python /opt/{unit}.py"
    drop_in(machine, "Type=oneshot", "Restart=no", "ExecStart=", run, *lines, unit=f"hotfolder@{unit}")
    machine.run("systemctl", "start", f"hotfolder@{unit}", check=False)
    return machine.log(f"hotfolder@{unit}")


_LEASE = """
import fcntl, os
roots = os.open("/srv/hotfolder/roots", os.O_RDONLY)
print("lease", fcntl.fcntl(roots, fcntl.F_SETLEASE, fcntl.F_RDLCK))
"""
_MOVE = """
import os
open("/srv/hotfolder/inbox/x.part", "x").close()
try:
    os.rename("/srv/hotfolder/inbox/x.part", "/srv/hotfolder/completed/x")
    os.unlink("/srv/hotfolder/completed/x")
    print("moved")
except OSError:
    os.unlink("/srv/hotfolder/inbox/x.part")
    raise
"""
_WRITE_AND_RUN = (
    "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
)
_RUN_DROPPED = """
import os, subprocess
with open("/srv/hotfolder/inbox/run.part", "w") as script:
    script.write("#!/bin/sh")
os.chmod("/srv/hotfolder/inbox/run.part", 0o755)
try:
    subprocess.run(["/srv/hotfolder/inbox/run.part"], check=True)
finally:
    os.unlink("/srv/hotfolder/inbox/run.part")
"""


def test_the_reasons_in_the_unit_hold(running: Machine) -> None:
    roots = running.root / "srv/hotfolder/roots"
    roots.touch(mode=0o644)
    assert "lease 0" in tried(running, "lease", _LEASE)
    assert "Permission denied" in tried(running, "lease-users", _LEASE, "PrivateUsers=yes")
    assert "Permission denied" in tried(running, "lease-plain", _LEASE, "AmbientCapabilities=")
    roots.unlink()
    two = "ReadWritePaths=/srv/hotfolder/inbox /srv/hotfolder/completed"
    assert "moved" in tried(running, "move", _MOVE)
    assert "Invalid cross-device link" in tried(running, "move-two", _MOVE, "ReadWritePaths=", two)
    assert "not permitted" in tried(running, "jit", _WRITE_AND_RUN)
    assert "Permission denied" in tried(running, "dropped", _RUN_DROPPED)


_WRITABLE = """
import os, socket
print(socket.getaddrinfo("localhost", 80)[0][4])
places = "/etc /usr /var /var/lib /opt /srv /root /home /tmp /proc/sys/kernel".split()
print([place for place in places if os.access(place, os.W_OK)], os.path.exists("/proc/1"))
"""


def test_the_system_is_read_only_and_names_resolve(running: Machine) -> None:
    said = tried(running, "probe", _WRITABLE)
    assert "('127.0.0.1', 80)" in said or "('::1', 80, 0, 0)" in said
    assert "['/tmp'] False" in said  # its own /tmp, and no process of others


def test_a_volume_that_is_mounted_later_is_seen_and_written(running: Machine) -> None:
    before = len(ledger(running))
    running.run("mount", "-t", "tmpfs", "-o", "mode=755", "volume", "/srv/hotfolder")
    running.wait(lambda: heartbeat(running)["phase"] == "inbox-missing")
    running.run("systemd-tmpfiles", "--create", "hotfolder.conf")
    running.run(
        "install", "-d", "-m", "2770", "-o", "hotfolder", "-g", "hotfolder", "/srv/hotfolder/inbox-zst"
    )
    running.run("sh", "-c", "echo x > /srv/hotfolder/inbox/late", user="alice")
    running.wait(lambda: len(ledger(running)) == before + 1)
    running.wait(lambda: (running.root / "srv/hotfolder/completed/late").exists())
    running.run("umount", "-l", "/srv/hotfolder")  # the daemon's lock on the inbox keeps it busy
    running.wait(lambda: heartbeat(running)["phase"] == "inbox-missing")
    running.run("systemctl", "stop", "hotfolder")
    for inbox in ("inbox", "inbox-zst"):  # files in it say that it is a plain folder from now on
        running.run("sh", "-c", f"echo x > /srv/hotfolder/{inbox}/plain", user="alice")
    start(running)
    running.wait(lambda: len(ledger(running)) == before + 3)


def test_it_is_started_until_the_writable_folder_is_there(running: Machine) -> None:
    drop_in(running, "RestartSec=1s", name="soon")
    running.run("systemctl", "stop", "hotfolder")
    running.run("mv", "/srv/hotfolder", "/srv/away")
    running.run("systemctl", "start", "hotfolder", check=False)
    running.wait(lambda: int(running.property("NRestarts")) >= 2)
    running.wait(lambda: running.property("ExecMainStatus") == "226")  # NAMESPACE; 0 while it is tried
    running.run("mv", "/srv/away", "/srv/hotfolder")
    running.wait(lambda: running.property("ActiveState") == "active")


def test_killed_it_comes_back_stopped_it_stays(running: Machine) -> None:
    drop_in(running, "RestartSec=1s", name="soon")
    first = running.property("MainPID")
    running.run("systemctl", "kill", "-s", "KILL", "hotfolder")
    running.wait(lambda: running.property("MainPID") not in {"0", first})
    running.wait(lambda: running.property("ActiveState") == "active")
    running.run("systemctl", "stop", "hotfolder")
    assert running.property("Result") == "success"
    assert running.property("ExecMainStatus") == "0"
    assert heartbeat(running)["phase"] == "stopped"
    start(running)


def test_a_reload_takes_the_new_configuration_or_says_its_fault(running: Machine) -> None:
    config = running.root / "etc/hotfolder/hotfolder.toml"
    good, pid = config.read_text(), running.property("MainPID")
    before = len(ledger(running))
    config.write_text(good.replace('prefix = "hotfolder"', 'prefix = "reloaded"'))
    running.run("systemctl", "reload", "hotfolder")
    running.run("sh", "-c", "echo x > /srv/hotfolder/inbox/after", user="alice")
    running.wait(lambda: len(ledger(running)) == before + 1)
    assert ledger(running)[-1]["s3_object_key"] == "reloaded/after.tar.gz"
    config.write_text(good.replace("bucket", "buket", 1))
    assert running.run("systemctl", "reload", "hotfolder", check=False).returncode != 0
    assert "did you mean bucket?" in running.log()
    config.write_text(good)
    running.run("systemctl", "kill", "-s", "HUP", "hotfolder")
    running.wait(lambda: running.log().count("reload.done") == 2)
    running.wait(lambda: running.property("ActiveState") == "active")
    assert running.property("MainPID") == pid


def test_a_silent_daemon_is_ended_by_the_watchdog_and_says_where_it_stood(running: Machine) -> None:
    drop_in(running, "WatchdogSec=6s", "RestartSec=1s", name="soon")
    running.run("systemctl", "restart", "hotfolder")
    stopped = running.property("MainPID")
    running.run("kill", "-STOP", stopped)
    running.wait(lambda: "Fatal Python error: Aborted" in running.log())
    running.wait(lambda: running.property("MainPID") not in {"0", stopped})
    running.wait(lambda: running.property("ActiveState") == "active")
    drop_in(running, name="soon")
    running.run("systemctl", "restart", "hotfolder")  # the others' daemon may be as slow as it is


def test_a_faulty_configuration_is_said_and_not_tried_again(running: Machine) -> None:
    config = running.root / "etc/hotfolder/hotfolder.toml"
    good = config.read_text()
    config.write_text(good.replace("bucket", "buket", 1))
    assert running.run("systemctl", "restart", "hotfolder", check=False).returncode != 0
    assert running.property("ExecMainStatus") == "78"
    assert "did you mean bucket?" in running.log()
    time.sleep(1.5)
    assert running.property("ActiveState") == "failed"
    config.write_text(good)
    start(running)


def test_an_instance_has_its_own_configuration_and_state(running: Machine, seaweed: SeaweedFS) -> None:
    configure(running, "photos", seaweed.endpoint_url, unit="hotfolder@photos", sub="/photos")
    for name in ("inbox", "inbox-zst"):
        folder = f"/srv/hotfolder/photos/{name}"
        running.run(
            "install", "-d", "-o", "hotfolder", "-g", "hotfolder", "/srv/hotfolder/photos", folder
        )
    drop_in(running, "LoadCredential=s3:/etc/hotfolder/s3.credentials", unit="hotfolder@photos")
    running.run("systemctl", "start", "hotfolder@photos")
    (running.root / "srv/hotfolder/photos/inbox/a").write_bytes(b"a")
    os.chmod(running.root / "srv/hotfolder/photos/inbox/a", 0o644)
    running.wait(lambda: len(ledger(running, "/photos")) == 1)
    assert ledger(running, "/photos")[0]["s3_object_key"] == "photos/a.tar.gz"
    running.run("systemctl", "stop", "hotfolder@photos")
