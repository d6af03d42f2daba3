"""What a running daemon can take over of a new configuration, and whether that would live."""

from hotfolder.adapters.inbox_locks import InboxLocks
from hotfolder.adapters.s3 import S3Connection
from hotfolder.app import prepare_folder
from hotfolder.config import Settings
from hotfolder.core.errors import ConfigError
from hotfolder.destinations import s3_settings


def require_takeable(old: Settings, new: Settings) -> None:
    """Raises `ConfigError` for what a running process cannot change."""
    if new.state_dir != old.state_dir:
        raise ConfigError(
            f"state_dir cannot change from {old.state_dir} to {new.state_dir} while the daemon runs; "
            "nothing was taken over",
            hint="stop the daemon and start it again",
        )
    if new.log != old.log:
        raise ConfigError(
            "[log] cannot change while the daemon runs; nothing was taken over",
            hint="stop the daemon and start it again",
        )


def differ_in_bandwidth(new: Settings, old: Settings) -> bool:
    """Whether that is all that is new."""
    transfer = new.transfer.model_copy(update={"bandwidth": old.transfer.bandwidth})
    return new != old and new.model_copy(update={"transfer": transfer}) == old


def rehearse(settings: Settings) -> None:
    """Blocking. Raises `ConfigError` for what a new life would die of, while the old one still lives."""
    for name in settings.folders:
        prepare_folder(settings, name)
    for destination in settings.destinations():
        S3Connection(s3_settings(destination, settings.transfer)).rehearse()


def keep_inboxes(settings: Settings, locks: InboxLocks, but: Settings | None = None) -> None:
    """Blocking. Raises `AlreadyRunning` where another daemon watches one of them.

    `but`: of a life that looks after its own inboxes.
    """
    known = {folder.inbox for folder in but.folders.values()} if but else set()
    for folder in settings.folders.values():
        if folder.inbox not in known:
            locks.take(str(folder.inbox))
