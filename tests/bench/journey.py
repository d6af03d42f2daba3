"""`make bench`: the whole journey on real input against the embedded store, measured.

For each work: files a second, MB/s of originals from the first start to the last ledger line, CPU and
peak memory of the daemon, beside the rate of SHA-256 alone over the same file in the same run. Every
object is fetched with plain boto3, restored by the system's tar, and compared.
"""

import argparse
import hashlib
import os
import random
import secrets
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hotfolder.seaweed import SeaweedFS
from tests.support.box import Box
from tools.demo import inputs

MIB = 1 << 20
GIB = 1 << 30
console = Console(width=150)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one work cost. Seconds, bytes; `proofs` counts the ledger's verifications."""

    files: int
    size: int
    packed: int
    seconds: float
    cpu: float
    peak: int
    proofs: str


def sparse_file(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size // 3)
        file.write(b"an island in the middle")


def deliver(box: Box, staged: Path) -> Figures:
    """Move what is staged into the inbox at once, and wait until the ledger has it."""
    names = [path for path in staged.rglob("*") if path.is_file()] if staged.is_dir() else [staged]
    before = len(box.ledger())
    process = box.start()
    os.rename(staged, box.inbox / staged.name)
    box.wait(lambda: sum(box.status()["totals"][k] for k in ("uploaded", "failed")) >= len(names), 3000)
    lines = box.wait_recorded(before + len(names))[before:]
    cpu, peak = usage(process.pid)
    box.stop()
    assert {line["status"] for line in lines} == {"success"}, Counter(
        line["error_message"] for line in lines
    )
    begun = min(datetime.fromisoformat(line["started_at"]) for line in lines)
    ended = max(datetime.fromisoformat(line["completed_at"]) for line in lines)
    return Figures(
        files=len(lines),
        size=sum(line["original_size"] for line in lines),
        packed=sum(line["compressed_size"] for line in lines),
        seconds=(ended - begun).total_seconds(),
        cpu=cpu,
        peak=peak,
        proofs=", ".join(f"{k} {n}" for k, n in Counter(line["verification"] for line in lines).items()),
    )


def usage(pid: int) -> tuple[float, int]:
    """CPU seconds and peak resident bytes of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) * 1024


def hash_rates(path: Path) -> tuple[float, float]:
    """Bytes a second of `sha256sum` and of hashlib over the file."""
    begun = time.perf_counter()
    subprocess.run(["sha256sum", str(path)], check=True, capture_output=True)
    halfway = time.perf_counter()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    size = path.stat().st_size
    return size / (halfway - begun), size / (time.perf_counter() - halfway)


def restored_alike(box: Box, sample: int) -> int:
    """Fetch and restore `sample` of the newest objects; returns how many gave back the same SHA-256."""
    lines = box.ledger()
    chosen = random.Random(2).sample(lines, min(sample, len(lines)))
    for number, line in enumerate(chosen):
        place = box.root / f"restored-{number}"
        restored = box.restore(line["s3_object_key"], place)
        with restored.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        assert digest == line["checksum_original"].removeprefix("sha256:"), line["s3_object_key"]
        shutil.rmtree(place)
        place.with_name(f"{place.name}.tar.gz").unlink()
    return len(chosen)


def work(name: str, make: Callable[[Path], object], store: SeaweedFS, root: Path, table: Table) -> None:
    folder = root / name.replace(" ", "-")
    folder.mkdir()
    box = Box(
        folder,
        endpoint_url=store.endpoint_url,
        access_key=store.access_key,
        secret_key=store.secret_key,
        bucket=f"bench-{secrets.token_hex(4)}",
    )
    box.s3().create_bucket(Bucket=box.bucket)
    staged = folder / "staged"
    make(staged)
    rates = hash_rates(staged) if staged.is_file() else None
    figures = deliver(box, staged)
    alike = restored_alike(box, 200)
    rate = figures.size / figures.seconds
    table.add_row(
        name,
        f"{figures.files}",
        f"{figures.size / 1e6:,.0f}",
        f"{figures.packed / 1e6:,.0f}",
        f"{figures.seconds:.1f}",
        f"{figures.files / figures.seconds:,.0f}",
        f"{rate / 1e6:,.0f}",
        " / ".join(f"{r / 1e6:,.0f}" for r in rates) if rates else "-",
        f"{figures.cpu:.1f}",
        f"{figures.peak / MIB:.0f}",
        figures.proofs,
        f"{alike} of {figures.files}",
    )
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="5 GiB random and 9 GiB sparse, too")
    options = parser.parse_args()
    table = Table(title="hotfolder with its embedded store, on one machine")
    for heading in (
        "work",
        "files",
        "MB",
        "packed MB",
        "s",
        "files/s",
        "MB/s",
        "sha256sum / hashlib MB/s",
    ):
        table.add_column(heading, justify="left" if heading == "work" else "right")
    for heading in ("CPU s", "peak MiB", "proof", "restored alike"):
        table.add_column(heading, justify="right")
    works: list[tuple[str, Callable[[Path], object]]] = [
        ("5,000 x 4 KiB", lambda path: inputs.small_files(path, 5000)),
        ("300 MB log", lambda path: inputs.write(path, inputs.log_blocks(300_000_000))),
        ("300 MB random", lambda path: inputs.write(path, inputs.random_blocks(300_000_000))),
    ]
    if options.large:
        works += [
            ("5 GiB random", lambda path: inputs.write(path, inputs.random_blocks(5 * GIB))),
            ("9 GiB sparse", lambda path: sparse_file(path, 9 * GIB)),
        ]
    with tempfile.TemporaryDirectory(prefix="hotfolder-bench-") as folder:
        root = Path(folder)
        store = SeaweedFS(root / "store", access_key="BENCH", secret_key=secrets.token_hex(16))
        with store:
            for name, make in works:
                work(name, make, store, root, table)
    console.print(table)


if __name__ == "__main__":
    main()
