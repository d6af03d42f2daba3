"""The daemon looks at its store beside its work, remembers it, and looks again where it has to."""

import socket
import sqlite3
from contextlib import closing

from hotfolder.probing import FOLDER
from hotfolder.surveying import token_of
from tests.support.box import HOTFOLDER, PATIENCE, Box
from tests.support.dam import Dam


def profiled(box: Box) -> int:
    return box.log().count("store.profiled")


def probes(box: Box) -> list[str]:
    return [key for key in box.keys(probes=True) if f"{FOLDER}/" in key]


def test_a_store_is_looked_at_at_each_start_and_again_for_another_destination(box: Box) -> None:
    box.start()
    box.wait(lambda: profiled(box) == 1)
    (box.inbox / "a").write_bytes(b"a")
    (line,) = box.wait_recorded(1)
    assert line["verification"] == "checksum"
    assert box.stop() == 0
    assert probes(box) == []
    box.start()
    (box.inbox / "b").write_bytes(b"b")
    assert box.wait_recorded(2)[1]["verification"] == "checksum", "it is known from the first moment"
    box.wait(lambda: profiled(box) == 2)
    box.config.write_text(
        box.config.read_text().replace("[destination]\n", '[destination]\nprefix = "nas2"\n')
    )
    assert box.command("reload").returncode == 0
    box.wait(lambda: profiled(box) == 3)
    assert box.stop() == 0
    with closing(sqlite3.connect(box.state / "state.db")) as db:
        assert db.execute("SELECT count(*) FROM profiles").fetchone() == (2,)


def test_what_a_killed_look_left_the_next_one_takes_away(box: Box) -> None:
    key = f"{FOLDER}/{token_of(socket.gethostname(), str(box.state))}"
    box.s3().put_object(Bucket=box.bucket, Key=key, Body=b"left")
    box.s3().create_multipart_upload(Bucket=box.bucket, Key=key)
    box.start()
    box.wait(lambda: profiled(box) == 1)
    assert probes(box) == []
    assert box.s3().list_multipart_uploads(Bucket=box.bucket).get("Uploads", []) == []
    (box.inbox / "a").write_bytes(b"a")
    (line,) = box.wait_recorded(1)
    assert line["verification"] == "checksum", "what lay there did not confuse it"


def test_once_looks_at_the_store_where_many_files_would_have_to_be_asked_for(box: Box) -> None:
    for number in range(800):
        (box.inbox / f"{number}").write_bytes(b"%d" % number)
    with Dam(box.endpoint_url) as dam:
        box.configure(endpoint_url=dam.url)
        dam.hold(f"PUT /{box.bucket}/7".encode())  # more than there are places, until it has looked
        once = box.spawn(*HOTFOLDER, "once", "--config", str(box.config))
        box.wait(lambda: profiled(box) == 1)
        dam.release()
        assert once.wait(PATIENCE) == 0
    kinds = [line["verification"] for line in box.ledger()]
    assert kinds[0] == "etag"
    assert kinds[-1] == "checksum"
    assert probes(box) == []


def test_once_and_upload_go_the_careful_way_and_look_at_nothing(box: Box) -> None:
    (box.inbox / "a").write_bytes(b"a")
    assert box.command("once").returncode == 0
    (box.root / "b").write_bytes(b"b")
    assert box.command("upload", str(box.root / "b")).returncode == 0
    assert [line["verification"] for line in box.ledger()] == ["etag", "etag"]
    box.configure(folder='verify = "readback"')
    (box.inbox / "c").write_bytes(b"c")
    assert box.command("once").returncode == 0
    assert box.ledger()[2]["verification"] == "readback"
    with closing(sqlite3.connect(box.state / "state.db")) as db:
        assert db.execute("SELECT count(*) FROM profiles").fetchone() == (0,)
