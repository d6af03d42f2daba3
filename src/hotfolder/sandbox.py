"""The newcomer's run: an embedded store, a bucket, an inbox and a configuration in one folder."""

import configparser
import io
import re
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tomli_w

from hotfolder import durable
from hotfolder.core.errors import ConfigError
from hotfolder.seaweed import SeaweedFS

BUCKET = "hotfolder"
_ENDPOINT = re.compile(r'^endpoint_url = ".*"$', re.MULTILINE)


class Sandbox:
    """Everything in `directory`: inbox/, completed/, failed/, hotfolder.toml, state/, store/."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config_file = directory / "hotfolder.toml"
        self._credentials = directory / "credentials"
        self._endpoint = ""

    def make(self) -> None:
        """Make the folders. Raises `ConfigError`."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for name in ("inbox", "completed", "failed", "state"):
                (self.directory / name).mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot make the sandbox {self.directory}: {error.strerror}",
                hint="name a folder that you may write to",
            ) from error

    @contextmanager
    def running(self) -> Iterator[None]:
        """The store runs, with bucket and configuration in place, while this is open.

        Only for whoever holds the lock of the sandbox: a second store would take the first one's files.
        """
        access_key, secret_key = self._keys()
        store = SeaweedFS(
            self.directory / "store", access_key=access_key, secret_key=secret_key, bucket=BUCKET
        )
        with store:
            self._endpoint = store.endpoint_url
            self._write_config()
            yield

    def welcome(self, program: str) -> list[str]:
        """Four lines: where to drop files, and where to look. `program` is how hotfolder was called."""
        look = f"{program} status --config {_near(self.config_file)}"
        return [
            f"Drop files into  {_near(self.directory / 'inbox')}",
            f"They end up in   {_near(self.directory / 'completed')} (or failed, with a reason)",
            f"Look with        {look} (or history)",
            (
                f"The store is at  {self._endpoint}/{BUCKET} (keys: {_near(self._credentials)}); "
                "Ctrl-C ends all"
            ),
        ]

    def _keys(self) -> tuple[str, str]:
        """The store's credentials: made up once, kept with mode 0600."""
        parser = configparser.ConfigParser()
        if not parser.read(self._credentials, encoding="utf-8"):
            parser["default"] = {
                "aws_access_key_id": f"HF{secrets.token_hex(9).upper()}",
                "aws_secret_access_key": secrets.token_urlsafe(30),
            }
            text = io.StringIO()
            parser.write(text)
            durable.replace_file(self._credentials, text.getvalue().encode(), mode=0o600)
        try:
            keys = parser["default"]
            return keys["aws_access_key_id"], keys["aws_secret_access_key"]
        except KeyError as error:
            raise ConfigError(
                f"{self._credentials} holds no key pair",
                hint="delete it and the folder store/ beside it",
            ) from error

    def _write_config(self) -> None:
        """Write the configuration once; later only the store's address in it, should its port change."""
        if self.config_file.exists():
            text = self.config_file.read_text(encoding="utf-8")
            current = _ENDPOINT.sub(f'endpoint_url = "{self._endpoint}"', text)
            if current != text:
                durable.replace_file(self.config_file, current.encode())
            return
        table = {
            "state_dir": "state",
            "destination": {
                "bucket": BUCKET,
                "endpoint_url": self._endpoint,
                "addressing_style": "path",
                "auth": "config",
                "credentials_file": self._credentials.name,
            },
            "folders": {
                "inbox": {"inbox": "inbox", "completed": "completed", "failed": "failed", "settle": "2s"}
            },
        }
        durable.replace_file(self.config_file, tomli_w.dumps(table).encode())


def _near(path: Path) -> str:
    """`path` as a person in the current directory would type it."""
    here = Path.cwd()
    near = path.relative_to(here) if path.is_relative_to(here) else path
    return shlex.quote(str(near))
