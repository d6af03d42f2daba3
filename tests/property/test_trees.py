"""Whatever a directory holds, its archive gives it back: by Python's tar, and by the system's."""

import os
import subprocess
import tempfile
import zlib
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotfolder.adapters.archive import TreeTar
from hotfolder.adapters.source import open_tree
from hotfolder.core.segments import read_seal
from tests.support.packing_line import form, packing_line
from tests.support.samples import job_at
from tests.support.trees import facts_of

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
    lambda name: name not in {".", ".."} and len(name.encode()) <= 255
)
TIMES = st.integers(0, 2**33 * 10**9)
FILES = st.binary(max_size=1500)
MODES = st.sampled_from([0o600, 0o640, 0o755, 0o444])
TREES = st.recursive(
    st.dictionaries(NAMES, st.tuples(FILES, MODES, TIMES) | st.text("ab/.", min_size=1), max_size=4),
    lambda trees: st.dictionaries(NAMES, trees, max_size=3),
    max_leaves=6,
)


def restore(archive: bytes, into: Path) -> None:
    command = ["tar", "xpf", "-", "-C", str(into)]
    subprocess.run(command, input=archive, check=True, capture_output=True)


def plant(root: Path, tree: dict[str, object]) -> None:
    root.mkdir()
    for name, what in tree.items():
        path = root / name
        if isinstance(what, dict):
            plant(path, what)
        elif isinstance(what, str):
            path.symlink_to(what)
        elif isinstance(what, tuple):
            data, mode, moment = what
            path.write_bytes(data)
            path.chmod(mode)
            os.utime(path, ns=(moment, moment))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(tree=TREES, name=NAMES, segment=st.sampled_from([300, 512, 4096]))
async def test_a_tree_comes_back_equal(tree: dict[str, object], name: str, segment: int) -> None:
    with tempfile.TemporaryDirectory() as place, packing_line(segment=segment) as line:
        root = Path(place)
        plant(root / name, tree)
        opener = partial(open_tree, members=TreeTar())
        packed = await line.pack(job_at(root, name), form("tar.gz"), opener=opener)
        whole = zlib.decompress(packed.stream, wbits=31)
        assert len(whole) == packed.digests.original_size
        assert read_seal(packed.stream[-80:]) == (packed.digests.original_sha256, len(whole))
        then = facts_of(root / name)
        (root / name).rename(root / f"{'x' * 10}-away")
        restore(whole, root)
        assert facts_of(root / name) == then
