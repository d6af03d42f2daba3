"""What only the S3 client can tell: whose keys sign, the store's clock, what it makes of lies."""

import email.utils
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import botocore.exceptions as boto_errors
import botocore.session

from hotfolder.adapters.s3 import faults
from hotfolder.adapters.s3.bodies import Pieces
from hotfolder.adapters.s3.connection import S3Connection
from hotfolder.adapters.s3.logins import FileLogin
from hotfolder.adapters.s3.store import S3Store, looked_up
from hotfolder.core import s3_words as words
from hotfolder.core.answers import Subject, judge_fault
from hotfolder.core.ports import Body
from hotfolder.core.records import ObjectDraft, PartReceipt, Receipt
from hotfolder.core.store_checkup import CredentialOrigin

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

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


class Claiming(Pieces):
    """A body that is signed as if it were another, of the SHA-256 `signed`."""

    def __init__(self, body: Body, signed: bytes) -> None:
        super().__init__(body)
        self.signed = signed


class S3ProbedStore(S3Store):
    """`core.ports.ProbedStore` over boto3. Give it a connection of its own, and one thread."""

    async def put_claiming(
        self, draft: ObjectDraft, body: Body, *, checksum: bytes | None, signed: bytes
    ) -> Receipt:
        fields = self._condition(unless_exists=False) | words.draft_fields(draft, self._options)
        pieces = Claiming(body, signed)
        reply, requests = await self._requests.call(
            self._subject("PutObject", draft.key),
            lambda s3: s3.put_object(**fields, Body=cast(Any, pieces), **_claim(checksum)),
            pieces=pieces,
        )
        return words.receipt(reply, requests, self._options.sse)

    async def part_claiming(
        self,
        key: str,
        upload_id: str,
        number: int,
        body: Body,
        *,
        checksum: bytes | None,
        signed: bytes,
    ) -> PartReceipt:
        fields = self._of_upload(key, upload_id) | {"PartNumber": number}
        pieces = Claiming(body, signed)
        reply, requests = await self._requests.call(
            self._subject("UploadPart", key),
            lambda s3: s3.upload_part(**fields, Body=cast(Any, pieces), **_claim(checksum)),
            pieces=pieces,
        )
        return words.part_receipt(number, len(body), reply, self._options.sse, requests)

    async def put_trailing(self, draft: ObjectDraft, body: Body) -> Receipt:
        fields = self._condition(unless_exists=False) | words.draft_fields(draft, self._options)
        reply, requests = await self._requests.call(
            self._subject("PutObject", draft.key), partial(_put_trailing, fields, bytes(body))
        )
        return words.receipt(reply, requests, self._options.sse)

    async def metadata_names(self, key: str) -> frozenset[str]:
        subject = self._subject("HeadObject", words.checked_key(key))
        reply, _ = await self._requests.call(subject, partial(looked_up, self._settings.bucket, key))
        return frozenset(reply.get("Metadata", {})) if reply else frozenset()


def _claim(checksum: bytes | None) -> dict[str, Any]:
    return {} if checksum is None else {"ChecksumSHA256": words.checksum(checksum)}


def _put_trailing(fields: Mapping[str, Any], body: bytes, s3: "S3Client") -> Any:
    """As AWS's own clients do over https: a checksum that is known once the body was sent."""
    s3.meta.events.register("before-call.s3.PutObject", cast(Any, _want_trailer))
    try:
        return s3.put_object(**fields, Body=body)
    finally:
        s3.meta.events.unregister("before-call.s3.PutObject", cast(Any, _want_trailer))


def _want_trailer(*, params: dict[str, Any], **_: object) -> None:
    params["context"]["checksum"] = {
        "request_algorithm": {
            "algorithm": "crc32",
            "in": "trailer",
            "name": "x-amz-checksum-crc32",
        }
    }
