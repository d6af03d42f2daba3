"""`make demo` itself: that it proves, that it notices, and that it leaves nothing behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from tools.demo import DemoFailed, __main__, inputs, progress, proofs
from tools.demo.inputs import Dropped
from tools.demo.process import SandboxProcess

DEMO = [sys.executable, "-m", "tools.demo", "--small"]
ROOT = Path(__file__).parents[2]


def test_it_proves_every_file_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        DEMO,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path), "AWS_PROFILE": "nobody"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict = done.stdout.splitlines()[-1]
    count, _, rest = verdict.partition(" of ")
    assert rest == f"{count} files are in the store, restored byte for byte: ok"
    assert int(count.replace(",", "")) > 1000 + len(inputs.ODD_NAMES)
    assert os.listdir(tmp_path) == []


def test_interrupted_it_ends_the_sandbox_and_leaves_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        DEMO, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as demo:
        deadline = time.monotonic() + 500
        while not (found := list(tmp_path.glob("*/sandbox/state/status.json"))):
            assert demo.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        sandbox = json.loads(found[0].read_bytes())["pid"]
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=500)
    assert demo.returncode == 130
    assert "interrupted" in errors
    with pytest.raises(ProcessLookupError):
        os.kill(sandbox, 0)
    assert os.listdir(tmp_path) == []


def test_it_notices_whatever_is_changed_lost_or_killed(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path / "sandbox", tmp_path / "log") as sandbox:
        dropped = {
            name: Dropped(name, "test", inputs.write(sandbox.inbox / name, [name.encode()]))
            for name in ("a", "b")
        }
        progress.watch(sandbox, len(dropped), 2)
        lines = proofs.check_ledger(sandbox, dropped)
        proofs.check_folders(sandbox, dropped)
        client, bucket = sandbox.bucket()
        meter = progress.Meter(None)
        assert proofs.check_objects(sandbox, dropped, lines, tmp_path / "1", meter) == 2

        (sandbox.completed / "a").write_bytes(b"x")
        with pytest.raises(DemoFailed, match="completed/a has another sha256"):
            proofs.check_folders(sandbox, dropped)
        (sandbox.completed / "a").unlink()
        with pytest.raises(DemoFailed, match=r"completed/ has no a \(1 of 2\)"):
            proofs.check_folders(sandbox, dropped)
        whole = client.get_object(Bucket=bucket, Key="a.tar.gz")
        client.put_object(
            Bucket=bucket, Key="b.tar.gz", Body=whole["Body"].read(), Metadata={"hotfolder-name": "b"}
        )
        with pytest.raises(DemoFailed, match=r"b\.tar\.gz unpacks to a, not to b"):
            proofs.check_objects(sandbox, dropped, lines, tmp_path / "2", meter)
        client.put_object(
            Bucket=bucket, Key="b.tar.gz", Body=b"no archive", Metadata={"hotfolder-name": "b"}
        )
        with pytest.raises(DemoFailed, match=r"tar cannot unpack b\.tar\.gz"):
            proofs.check_objects(sandbox, dropped, lines, tmp_path / "3", meter)
        client.delete_object(Bucket=bucket, Key="b.tar.gz")
        with pytest.raises(DemoFailed, match=r"the bucket has no b\.tar\.gz"):
            proofs.check_objects(sandbox, dropped, lines, tmp_path / "4", meter)
        sandbox.ledger.write_bytes(sandbox.ledger.read_bytes().replace(b'"success"', b'"skipped"', 1))
        with pytest.raises(DemoFailed, match="chain is broken"):
            proofs.check_ledger(sandbox, dropped)
        os.kill(sandbox.status()["pid"], signal.SIGKILL)
        with pytest.raises(DemoFailed, match="ended by itself with exit code -9"):
            progress.watch(sandbox, 3, 3)
    with socket.socket() as probe:  # the store has ended, too
        assert probe.connect_ex(("127.0.0.1", urlsplit(client.meta.endpoint_url).port)) != 0


def test_it_notices_another_time_and_another_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    written = inputs.write(path, [b"content"])
    proofs.compare(path, written, "it")
    os.chmod(path, 0o600 if written.mode != 0o600 else 0o640)
    with pytest.raises(DemoFailed, match="it has another mode than the file dropped"):
        proofs.compare(path, written, "it")
    os.utime(path, ns=(written.mtime_ns, written.mtime_ns + 1))
    with pytest.raises(DemoFailed, match="it has another mtime_ns"):
        proofs.compare(path, written, "it")


def test_too_little_space_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_200_000_000))
    with pytest.raises(DemoFailed, match=r"has 1\.2 GB free, the demo needs 2\.5 GB: .* DEMO=--small"):
        __main__.check_space(300_000_000)
    __main__.check_space(30_000_000)
