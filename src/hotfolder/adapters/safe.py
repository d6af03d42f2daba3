"""The key pair of a store out of the system's keyring (the optional package `keyring`)."""

from dataclasses import dataclass

from hotfolder.core.errors import ConfigError, DestinationError, DestinationTrouble


@dataclass(frozen=True, slots=True)
class KeyringEntry:
    """One entry, found by the keyring's two names; its secret is ACCESS_KEY:SECRET_KEY."""

    service: str
    username: str

    def read(self) -> tuple[str, str]:
        """Access key and secret key. Blocks; raises `DestinationError`, as a keyring may be locked."""
        import keyring  # optional, and slow to import
        from keyring.errors import KeyringError

        try:
            secret = keyring.get_password(self.service, self.username)
        except KeyringError as error:
            raise self._trouble(
                f"the keyring cannot be read: {type(error).__name__}: {error}",
                "unlock it, or run hotfolder as the user whose keyring it is",
            ) from error
        if secret is None:
            raise self._trouble(
                f"the keyring has no entry {self.username!r} of {self.service!r}",
                f"make it with `keyring set {self.service} {self.username}`, "
                "and give ACCESS_KEY:SECRET_KEY",
            )
        access_key, colon, secret_key = secret.strip().partition(":")
        if not (access_key and colon and secret_key):
            raise self._trouble(
                f"the keyring's entry {self.username!r} of {self.service!r} is no key pair",
                "it has to be ACCESS_KEY:SECRET_KEY",
            )
        return access_key, secret_key

    @staticmethod
    def _trouble(what: str, hint: str) -> DestinationError:
        return DestinationError(DestinationTrouble.DENIED, what, hint=hint)


def open_entry(name: str) -> KeyringEntry:
    """The entry "SERVICE/USERNAME", not yet read. Raises `ConfigError` without the package."""
    try:
        import keyring  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ConfigError(
            'auth = "keyring" needs the package keyring, which is not installed',
            hint="install it with `pip install 'hotfolder[keyring]'`",
        ) from error
    service, _, username = name.rpartition("/")
    return KeyringEntry(service, username)
