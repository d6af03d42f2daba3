"""Where it all happens: boxes on one real store."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hotfolder.seaweed import SeaweedFS
from tests.support.box import Box


class Stage:
    """Boxes with a bucket each on one store."""

    def __init__(self, root: Path, store: SeaweedFS) -> None:
        self._root, self._store = root, store

    def at(self, root: Path) -> "Stage":
        """The same store, with the boxes elsewhere."""
        return Stage(root, self._store)

    @contextmanager
    def box(self) -> Iterator[Box]:
        root = self._root / secrets.token_hex(6)
        root.mkdir()
        box = Box(
            root,
            endpoint_url=self._store.endpoint_url,
            access_key=self._store.access_key,
            secret_key=self._store.secret_key,
            bucket=f"box-{secrets.token_hex(6)}",
        )
        box.s3().create_bucket(Bucket=box.bucket)
        with closing(box):
            yield box
        shutil.rmtree(root)
