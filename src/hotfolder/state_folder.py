"""What stands in the state folder, opened as the settings say; light, as every query needs it."""

from pathlib import Path
from typing import Any

from hotfolder.adapters import heartbeat
from hotfolder.adapters.ledger import FileLedger
from hotfolder.adapters.state.ledger_index import SqliteLedgerIndex
from hotfolder.config import Settings
from hotfolder.indexing import Indexer


def upload_lock(settings: Settings) -> Path:
    """Held by an `upload --move`: its journal rows are not a former run's."""
    return settings.state_dir / "upload.lock"


def spool_folder(settings: Settings) -> Path:
    """Where packed files stand until their proof (`spool = "disk"`)."""
    return settings.state_dir / "spool"


def open_ledger(settings: Settings) -> FileLedger:
    return FileLedger(settings.state_dir / "ledger.jsonl", rotate_at=settings.ledger.rotate)


def open_index(settings: Settings) -> SqliteLedgerIndex:
    return SqliteLedgerIndex(settings.state_dir / "state.db")


def indexer(settings: Settings) -> Indexer:
    """What reads the ledger into its index; one owner."""
    return Indexer(open_ledger(settings), open_index(settings))


def read_heartbeat(settings: Settings) -> dict[str, Any] | None:
    """The daemon's last beat, or None where there never was one. Raises `LocalError`."""
    return heartbeat.read(settings.status_file, group_key=settings.status.group_key)
