"""Folder types, keys, several destinations, and the flags of `upload`, with real processes."""

import fcntl
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import tomli_w

from tests.support.box import HOTFOLDER, PATIENCE, Box
from tests.support.ports import closed_port

EXAMPLE = Path(__file__).parents[2] / "examples/media-nas.toml"


def use_example(box: Box) -> None:
    """The example's own text, with this machine's folders and this test's store."""
    table = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    table["state_dir"] = "state"
    table["folders"]["media"] |= {"inbox": "inbox", "settle": "200ms"}
    table["status"]["interval"] = "100ms"
    own = tomllib.loads(box.config.read_text())["destination"]
    table["destination"] = own
    box.config.write_text(tomli_w.dumps(table))


def test_the_media_nas_example_does_what_its_comments_say(box: Box) -> None:
    use_example(box)
    box.start()
    taken = {
        "reels/june/clip.MP4": b"video" * 1000,
        "reels/track.gpx": b"<gpx/>",
        "config/cam.json": b"{}",
        "gis_data/map.tif": b"map" * 5000,
        "logs/app.log": b"line\n" * 1000,
        "report/end.pdf": b"%PDF",
    }
    left = ["reels/clip.avi", "photos/a.jpg", "top.mp4"]
    for relpath, data in {**taken, **dict.fromkeys(left, b"no")}.items():
        path = box.inbox / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    box.wait(lambda: len(box.ledger()) == len(taken))
    keys = {line["target_name"]: line["s3_object_key"] for line in box.ledger()}
    assert re.fullmatch(r"RMI25320/reels/\d{8}_\d{4}/june/clip\.MP4\.tar\.gz", keys["clip.MP4"])
    assert re.fullmatch(r"RMI25320/gis_data/\d{8}_\d{4}/map\.tif\.tar\.zst", keys["map.tif"])
    assert re.fullmatch(r"RMI25320/report/\d{8}_\d{4}/end\.pdf", keys["end.pdf"])
    lines = {line["target_name"]: line for line in box.ledger()}
    assert lines["app.log"]["s3_storage_class"] == "STANDARD_IA"
    assert {line["group"] for line in box.ledger()} == {"reels", "config", "gis_data", "logs", "report"}
    moved = Path(lines["clip.MP4"]["completed_dir_path"]).relative_to(box.completed)
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/reels/june/clip\.MP4", str(moved))
    assert sorted(str(p.relative_to(box.inbox)) for p in box.inbox.rglob("*") if p.is_file()) == sorted(
        left
    )
    box.wait(
        lambda: (
            box.status()["totals"]["uploaded"] == len(taken)
            and box.status()["left"]["count"] == len(left)
        )
    )
    beat = box.status()
    assert beat["reels"]["reels"]["planned_files"] == beat["reels"]["reels"]["uploaded"] == 2
    assert {"current_reel", "reels"} <= beat.keys()
    assert "groups" not in beat
    whys = {Path(entry["path"]).name: entry["why"] for entry in beat["left"]["first"]}
    assert "reels takes .mp4 .json" in whys["clip.avi"]
    assert "put it into one of reels/" in whys["a.jpg"]
    box.stop()


def test_two_folders_deliver_to_two_buckets_in_one_daemon(box: Box) -> None:
    other = f"{box.bucket}-2"
    box.s3().create_bucket(Bucket=other)
    box.configure(
        extra=f'[folders.office]\ninbox = "office/inbox"\nsettle = "200ms"\ncompression = "none"\n'
        f'[folders.office.destination]\nbucket = "{other}"\n'
    )
    office = box.root / "office/inbox"
    office.mkdir(parents=True)
    box.start()
    (box.inbox / "a.txt").write_bytes(b"same name")
    (office / "a.txt").write_bytes(b"other bucket")
    box.wait(lambda: len(box.ledger()) == 2)
    assert {line["s3_bucket"]: line["s3_object_key"] for line in box.ledger()} == {
        box.bucket: "a.txt.tar.gz",
        other: "a.txt",
    }
    body = box.s3().get_object(Bucket=other, Key="a.txt")["Body"].read()
    assert body == b"other bucket"
    assert set(box.status()["destinations"]) == {box.bucket, other}
    box.stop()


def test_one_bucket_that_is_not_there_does_not_hold_the_other(box: Box) -> None:
    box.configure(
        extra='[folders.office]\ninbox = "office/inbox"\n[folders.office.destination]\n'
        'bucket = "nowhere"\n'
    )
    (box.root / "office/inbox").mkdir(parents=True)
    box.start(wait=False)
    (box.inbox / "a.txt").write_bytes(b"good")
    box.wait(lambda: len(box.ledger()) == 1)
    box.wait(lambda: box.status()["destinations"]["nowhere"]["state"] == "no-bucket")
    box.wait(lambda: box.status()["destinations"][box.bucket]["state"] == "ok")
    box.stop()


def test_a_key_may_be_the_content_itself(box: Box) -> None:
    box.configure(folder='settle = "200ms"\nkey = "{sha256}{ext}"\ncompression = "gz"')
    (box.inbox / "a").write_bytes(b"content")
    (box.inbox / "big").write_bytes(b"0123456789abcdef" * 2_000_000)
    assert box.command("once").returncode == 0
    for line in box.ledger():
        digest = line["checksum_original"].removeprefix("sha256:")
        assert line["s3_object_key"] == f"{digest}.gz"


def test_the_flags_of_upload(box: Box, tmp_path: Path) -> None:
    box.configure(
        folder='key = "{vars.project}/{group}/{timestamp}/{name}{ext}"',
        extra='[vars]\nproject = "P1"\n[folders.box.groups.mine]\nextensions = [".mp4"]',
    )
    desk = tmp_path / "desk"
    desk.mkdir()
    for name in ("a.mp4", "b.mp4", "c.txt"):
        (desk / name).write_bytes(name.encode())
    done = box.command(
        *("upload", "desk", "--group", "mine", "--include", "*.mp4", "--exclude", "b.*"),
        *("--var", "project=P2", "--timestamp", "20250102_0304", "--folder", "box"),
    )
    assert done.returncode == 0, done.stderr
    (line,) = box.ledger()
    assert line["s3_object_key"] == "P2/mine/20250102_0304/a.mp4.tar.gz"
    assert line["command_args"][0] == "upload"
    assert (desk / "a.mp4").exists()


def test_upload_all_takes_every_entry_and_move_moves_what_is_proven(box: Box) -> None:
    names = ["x.bin", "y.bin", "sub/z.bin"]
    desk = box.root / "desk"
    (desk / "sub").mkdir(parents=True)
    for name in names:
        (desk / name).write_bytes(name.encode())
    done = box.command("upload", "all", "--move", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert not [path for path in desk.rglob("*") if path.is_file()]
    assert sorted(
        str(path.relative_to(box.completed)) for path in box.completed.rglob("*") if path.is_file()
    ) == sorted(names)
    assert {line["completed_dir_path"] for line in box.ledger()} == {
        str(box.completed / name) for name in names
    }


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--var", "novalue"), 2, "NAME=VALUE"),
        (("--timestamp", "yesterday"), 2, "YYYYMMDD_HHMM"),
        (("--group", "a/b"), 2, "cannot name a group"),
        (("--folder", "nope"), 2, "there is no folder 'nope'"),
        (("--var", "projct=x"), 2, "no key of 'box' uses {vars.projct}"),
    ],
)
def test_faulty_flags_are_sentences(box: Box, flags: tuple[str, ...], code: int, said: str) -> None:
    (box.root / "a").write_bytes(b"a")
    done = box.command("upload", "a", *flags)
    assert done.returncode == code
    assert said in done.stderr
    assert box.ledger() == []


def test_upload_never_takes_what_hotfolder_lives_on(box: Box) -> None:
    (box.root / "f.txt").write_bytes(b"f")
    (box.inbox / "in.bin").write_bytes(b"in")
    box.start()
    box.wait(lambda: len(box.ledger()) == 1)
    (box.inbox / "settling.bin").touch()
    done = box.command("upload", "--move", "all")
    assert done.returncode == 1
    for name in ("hotfolder.toml", "state", "credentials", "inbox", "completed"):
        assert f"left {box.root}/{name}: " in done.stderr
        assert (box.root / name).exists()
    keys = {line["s3_object_key"] for line in box.ledger()}
    assert {"f.txt.tar.gz", "in.bin.tar.gz"} <= keys
    assert not [key for key in keys if key.startswith(("state", "hotfolder.toml", "cred", "completed"))]
    box.stop()


def test_what_no_group_takes_is_not_uploaded_either_unless_its_group_is_named(box: Box) -> None:
    box.configure(folder='[folders.box.groups.reels]\nextensions = [".mp4"]')
    (box.root / "a.txt").write_bytes(b"a")
    done = box.command("upload", "a.txt")
    assert done.returncode == 1
    assert "put it into one of reels/; or name its group with --group" in done.stderr
    assert box.command("upload", "a.txt", "--group", "nix").returncode == 2
    assert box.command("upload", "a.txt", "--group", "reels").returncode == 0
    assert [line["group"] for line in box.ledger()] == ["reels"]


def test_once_delivers_where_it_can_and_says_where_it_cannot(box: Box) -> None:
    box.configure(
        extra='[folders.office]\ninbox = "office/inbox"\n[folders.office.destination]\n'
        f'bucket = "office"\nendpoint_url = "http://127.0.0.1:{closed_port()}"\n'
    )
    (box.root / "office/inbox").mkdir(parents=True)
    (box.inbox / "a").write_bytes(b"a")
    done = box.command("once", timeout=200)
    assert done.returncode == 69
    assert [line["target_name"] for line in box.ledger()] == ["a"]


def test_an_upload_that_moves_is_no_former_run_to_a_daemon_that_starts(box: Box) -> None:
    own = box.root / "own"
    own.mkdir()
    (own / "f.bin").write_bytes(b"data")
    box.start()
    box.stop()
    ledger = box.state / "ledger.jsonl"
    ledger.touch()
    with ledger.open("rb+") as held:  # the upload moves its file, and waits with the line
        fcntl.flock(held, fcntl.LOCK_EX)
        upload = subprocess.Popen(
            [*HOTFOLDER, "upload", "--move", "own/f.bin", "--config", str(box.config)],
            cwd=box.root,
            env=box.environment(),
        )
        box.processes.append(upload)
        box.wait(lambda: (box.completed / "f.bin").exists())
        box.start(wait=False)
    assert upload.wait(PATIENCE) == 0
    box.processes.remove(upload)
    box.wait(lambda: box.phase() == "idle")
    box.stop()
    assert len(box.ledger()) == 1
