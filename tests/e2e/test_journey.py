"""The main job with the real process, real files and a real store."""

import functools
import hashlib
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.support.box import Box, files_below
from tools.demo.inputs import EMPTY, ODD_NAMES


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_everything_dropped_is_delivered_restorable_and_recorded(box: Box, tmp_path: Path) -> None:
    # What is sent before the store is known is proven by the ETag.
    prove_the_journey(box, tmp_path, "checksum", "etag")


def test_the_same_on_a_store_that_knows_no_checksums(box_of_juicefs: Box, tmp_path: Path) -> None:
    prove_the_journey(box_of_juicefs, tmp_path, "etag")


def prove_the_journey(box: Box, tmp_path: Path, *verifications: str) -> None:
    box.start()
    dice = random.Random(1)
    dropped: dict[str, tuple[str, int]] = {}

    def drop(name: bytes, content: bytes) -> None:
        path = Path(os.fsdecode(os.path.join(os.fsencode(box.inbox), name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        relpath = str(path.relative_to(box.inbox))
        dropped[relpath] = (hashlib.sha256(content).hexdigest(), path.stat().st_mtime_ns)

    for name in ODD_NAMES.values():
        drop(name, b"" if name == EMPTY else dice.randbytes(1000))
    for number in range(60):
        drop(b"src/pkg%d/module%d.py" % (number % 7, number), b"def f():\n    return 1\n" * number)
    drop(b"reels/random.bin", dice.randbytes(25_000_000))
    drop(b"logs/big.log", b"".join(b"%d INFO something happened\n" % i for i in range(700_000)))
    (box.inbox / "src" / ".DS_Store").write_bytes(b"junk")
    (box.inbox / ".DS_Store").write_bytes(b"junk")

    ledger = box.wait_recorded(len(dropped))
    assert box.stop() == 0

    assert sorted(str(p.relative_to(box.inbox)) for p in files_below(box.inbox)) == [
        ".DS_Store",
        "src/.DS_Store",
    ]
    assert {str(p.relative_to(box.completed)): sha256(p) for p in files_below(box.completed)} == {
        relpath: digest for relpath, (digest, _) in dropped.items()
    }
    assert len(ledger) == len(dropped)
    assert sorted(line["s3_object_key"] for line in ledger) == sorted(box.keys())
    for number, line in enumerate(ledger):
        relpath = os.path.relpath(line["target_path"], box.inbox)
        digest, mtime_ns = dropped[relpath]
        restored = box.restore(line["s3_object_key"], tmp_path / "restored" / str(number))
        assert os.fsencode(restored.name) == os.fsencode(os.path.basename(relpath))
        assert sha256(restored) == digest == line["checksum_original"].removeprefix("sha256:")
        assert restored.stat().st_mtime_ns == mtime_ns
        assert line["status"] == "success"
        assert line["verification"] in verifications
        assert line["completed_dir_path"] == str(box.completed / relpath)
        assert (
            line["compressed_size"]
            == box.s3().head_object(Bucket=box.bucket, Key=line["s3_object_key"])["ContentLength"]
        )
    state = box.status()
    assert state["phase"] == "stopped"
    assert state["totals"]["uploaded"] == state["totals"]["files"] == len(dropped)
    assert state["groups"]["reels"]["planned_files"] == state["groups"]["reels"]["uploaded"] == 1
    assert box.open_uploads() == []


@pytest.mark.parametrize("compression", ["gz", "tar.zst", "zst", "none"])
def test_other_formats_give_back_the_same_bytes(box: Box, compression: str, tmp_path: Path) -> None:
    import gzip
    import io
    import tarfile

    import zstandard

    box.configure(f'settle = "100ms"\ncompression = "{compression}"', '[transfer]\npart_size = "5MiB"')
    content = {"small.txt": b"hello\n" * 100, "large.bin": random.Random(2).randbytes(12_000_000)}
    for name, data in content.items():
        (box.inbox / name).write_bytes(data)
    done = box.command("once")
    assert done.returncode == 0, done.stderr
    for line in box.ledger():
        packed = box.fetch(line["s3_object_key"], tmp_path / "packed").read_bytes()
        if compression == "gz":
            packed = gzip.decompress(packed)
        elif compression.endswith("zst"):
            with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
                packed = reader.read()
        if compression == "tar.zst":
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                member = archive.extractfile(line["target_name"])
                assert member is not None
                packed = member.read()
        assert packed == content[line["target_name"]]
        assert (line["parts"] > 1) == (line["target_name"] == "large.bin")
        head = box.s3().head_object(Bucket=box.bucket, Key=line["s3_object_key"])
        known = head["Metadata"].get("hotfolder-sha256")
        expected = line["checksum_original"].removeprefix("sha256:")
        assert known == expected if compression == "none" or line["parts"] == 1 else known is None


def test_a_slow_writer_is_waited_for_and_delivered_whole(box: Box, tmp_path: Path) -> None:
    box.start()
    script = (
        "import sys, time\n"
        "with open(sys.argv[1], 'wb', buffering=0) as file:\n"
        "    for number in range(8):\n"
        "        file.write(b'%d' % number * 1000)\n"
        "        time.sleep(0.6)\n"  # three times longer than `settle`
    )
    subprocess.run([sys.executable, "-c", script, str(box.inbox / "slow")], check=True)
    (line,) = box.wait_recorded(1)
    assert line["original_size"] == 8000
    restored = box.restore(line["s3_object_key"], tmp_path / "restored")
    assert restored.read_bytes() == b"".join(b"%d" % number * 1000 for number in range(8))


def test_a_file_that_changes_all_the_time_is_never_recorded_half(box: Box, tmp_path: Path) -> None:
    box.configure('settle = "0s"')
    box.start()
    path = box.inbox / "restless"
    for number in range(40):
        replacement = tmp_path / "next"
        replacement.write_bytes(b"%06d" % number * 50_000)
        os.replace(replacement, path)
    last = zlib.crc32(b"%06d" % 39 * 50_000)
    box.wait(lambda: not path.exists())
    box.wait(lambda: box.phase() == "idle")
    lines = box.ledger()
    versions = set()
    for number, line in enumerate(lines):
        restored = box.restore(line["s3_object_key"], tmp_path / "restored" / str(number))
        content = restored.read_bytes()
        assert content == content[:6] * 50_000  # one version, whole
        versions.add(zlib.crc32(content))
    assert last in versions
    assert len(list(files_below(box.completed))) == len(lines)


def test_a_second_file_of_the_same_name_keeps_both(box: Box, tmp_path: Path) -> None:
    box.start()
    for number, content in enumerate([b"first", b"second"]):
        (box.inbox / "same.txt").write_bytes(content)
        box.wait_recorded(number + 1)
    first, second = box.ledger()
    assert first["s3_object_key"] == "same.txt.tar.gz"
    assert second["s3_object_key"] == f"same.txt~{second['operation_id']}.tar.gz"
    assert box.restore(first["s3_object_key"], tmp_path / "1").read_bytes() == b"first"
    assert box.restore(second["s3_object_key"], tmp_path / "2").read_bytes() == b"second"
    assert Path(first["completed_dir_path"]).read_bytes() == b"first"
    assert Path(second["completed_dir_path"]).read_bytes() == b"second"


def test_a_file_that_is_dropped_again_and_again_is_kept_beside_once(box: Box) -> None:
    box.s3().put_object(Bucket=box.bucket, Key="same.txt.tar.gz", Body=b"of somebody else")
    box.start()
    for number in range(3):
        (box.inbox / "same.txt").write_bytes(b"content")
        box.wait_recorded(number + 1)
    first, second, third = box.ledger()
    assert [line["status"] for line in (first, second, third)] == ["success", "skipped", "skipped"]
    beside = f"same.txt~{first['operation_id']}.tar.gz"
    assert {line["s3_object_key"] for line in (first, second, third)} == {beside}
    assert sorted(box.keys()) == ["same.txt.tar.gz", beside]
    box.stop()
    for path in box.state.glob("state.db*"):  # the ledger alone knows it, too
        path.unlink()
    box.start()
    (box.inbox / "same.txt").write_bytes(b"content")
    assert box.wait_recorded(4)[-1]["status"] == "skipped"


def test_each_group_has_its_own_way_with_conflicts(box: Box) -> None:
    box.configure(
        'settle = "200ms"\non_conflict = "fail"\n'
        '[folders.box.groups.drafts]\non_conflict = "overwrite"\n'
        '[folders.box.groups.notes]\non_conflict = "keep-both"\n'
        "[folders.box.groups.final]\n"
    )
    names = ["drafts/a", "final/a", "notes/a"]
    for name in names:
        box.s3().put_object(Bucket=box.bucket, Key=f"{name}.tar.gz", Body=b"of somebody else")
        (box.inbox / name).parent.mkdir()
        (box.inbox / name).write_bytes(b"content")
    box.start()
    drafts, final, notes = sorted(box.wait_recorded(3), key=lambda line: str(line["target_path"]))
    assert (drafts["status"], drafts["s3_object_key"]) == ("success", "drafts/a.tar.gz")
    etag = hashlib.md5(b"of somebody else", usedforsecurity=False).hexdigest()
    assert drafts["metadata"]["replaced"]["etag"] == etag
    assert (notes["status"], notes["s3_object_key"].startswith("notes/a~")) == ("success", True)
    assert final["status"] == "failed"
    assert "final/a.tar.gz is taken by other content" in final["error_message"]
    assert (box.failed / "final/a").read_bytes() == b"content"


def test_what_cannot_be_delivered_goes_to_failed_with_its_reason(box: Box) -> None:
    box.start()
    deep = box.inbox / ("d" * 200) / ("e" * 200) / ("f" * 200) / ("g" * 200) / ("h" * 200)
    deep.mkdir(parents=True)
    (deep / ("i" * 100)).write_bytes(b"its key would have more than 1,024 bytes")
    (box.inbox / "good.txt").write_bytes(b"good")
    ledger = {line["target_name"]: line for line in box.wait_recorded(2)}
    assert ledger["good.txt"]["status"] == "success"
    failed = ledger["i" * 100]
    assert failed["status"] == "failed"
    assert "1,024" in failed["error_message"] or "1024" in failed["error_message"]
    assert Path(failed["result_path"]).read_bytes().startswith(b"its key")
    assert failed["result_path"].startswith(str(box.failed))
    assert not (deep / ("i" * 100)).exists()


def test_killed_at_random_moments_nothing_is_lost_and_nothing_recorded_twice(
    box: Box, tmp_path: Path
) -> None:
    dice = random.Random(3)
    content = {
        f"f{number:03d}": dice.randbytes(dice.choice([10, 5_000, 300_000])) for number in range(150)
    }
    for name, data in content.items():
        (box.inbox / name).write_bytes(data)

    def reached(lines: int) -> bool:
        return len(box.ledger()) >= lines

    for _ in range(6):
        box.start(wait=False)
        goal = min(len(box.ledger()) + dice.randrange(40), len(content))
        box.wait(functools.partial(reached, goal))
        box.kill()
        here, there = set(os.listdir(box.inbox)), set(os.listdir(box.completed))
        assert here | there == set(content)
        assert not here & there
    box.start()
    box.wait(lambda: not os.listdir(box.inbox))
    box.wait_recorded(len(content))
    assert box.stop() == 0
    ledger = box.ledger()
    assert sorted(line["target_name"] for line in ledger) == sorted(content)
    assert {line["status"] for line in ledger} <= {"success", "skipped"}
    for number, line in enumerate(ledger):
        restored = box.restore(line["s3_object_key"], tmp_path / "restored" / str(number))
        assert restored.read_bytes() == content[line["target_name"]]
