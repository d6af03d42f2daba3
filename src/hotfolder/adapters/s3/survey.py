"""What only the S3 client can tell the doctor: whose keys it signs with, and the store's clock."""

import email.utils
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import botocore.exceptions as boto_errors
import botocore.session

from hotfolder.adapters.s3 import faults
from hotfolder.adapters.s3.connection import S3Connection
from hotfolder.adapters.s3.logins import FileLogin
from hotfolder.core.answers import Subject, judge_fault
from hotfolder.core.store_checkup import CredentialOrigin

_SHOWN = 4  # characters of an access key that are shown
_FILES = {"shared-credentials-file": "credentials_file", "config-file": "config_file"}


class StoreClock:
    """Listens to the `Date` of every answer. `clock` is ours, seconds since the epoch."""

    def __init__(self, connection: S3Connection, *, clock: Callable[[], float]) -> None:
        """May block, as `connection.client` may."""
        self._clock = clock
        self.skew: float | None = None  # ours minus the store's, of the last answer that told its time
        connection.client().meta.events.register("response-received.s3", cast(Any, self._listen))

    def _listen(self, *, response_dict: dict[str, Any] | None = None, **_: object) -> None:
        told = (response_dict or {}).get("headers", {}).get("date", "")
        try:
            self.skew = self._clock() - email.utils.parsedate_to_datetime(told).timestamp()
        except (TypeError, ValueError):
            return  # no date, or none that HTTP knows


def credential_origin(connection: S3Connection) -> CredentialOrigin:
    """Where the keys come from; never more of them than an ending. Blocks.

    Raises `DestinationError` where there are none, as the first request would.
    """
    try:
        credentials = connection.credentials()
        frozen = credentials.get_frozen_credentials()
    except boto_errors.BotoCoreError as error:
        subject = Subject("Credentials", connection.settings.bucket)
        raise judge_fault(subject, faults.fault(error), faults.detail(error)).error from error
    expires = getattr(credentials, "_expiry_time", None)  # botocore has no public word for it
    login = connection.settings.login
    place = str(login.path) if isinstance(login, FileLogin) else ""
    if not place and credentials.method in _FILES:
        variable = botocore.session.Session().get_config_variable(_FILES[credentials.method])
        place = os.path.expanduser(str(variable))
    access_key = str(frozen.access_key)
    return CredentialOrigin(
        method=str(credentials.method),
        place=place,
        ending=access_key[-_SHOWN:] if len(access_key) > 2 * _SHOWN else "",
        expires_at=expires.timestamp() if isinstance(expires, datetime) else None,
    )
