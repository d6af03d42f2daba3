"""Asking a store what it really does, with tiny objects under one hidden key, removed again."""

import asyncio
import contextlib
from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from hotfolder.core.errors import DestinationError, HotfolderError, KeyTaken
from hotfolder.core.ports import ProbedStore
from hotfolder.core.records import ObjectDraft, PartReceipt, Receipt
from hotfolder.core.store_survey import (
    FORGED,
    FORGED_SHA256,
    PROBE,
    PROBE_METADATA,
    PROBE_SHA256,
    Answers,
    is_silence,
)

T = TypeVar("T")

FOLDER = ".hotfolder-check"
_CLEARING = 5.0  # seconds, of a probe that was interrupted


async def ask(
    store: ProbedStore, *, prefix: str, token: str, storage_class: str | None = None
) -> Answers:
    """Ask everything, below a hidden prefix under which no file's key can lie.

    `token` makes the key nobody else's; asked again with the same one, what a killed probe left is taken
    away. `storage_class`: of the probes, which have to be readable. Raises nothing of the store's: every
    error is an answer. Where nothing may be deleted one object stays, in `left`.
    """
    key = "/".join(filter(None, (prefix, FOLDER, token)))
    probe = _Probe(store, ObjectDraft(key, PROBE_METADATA, storage_class=storage_class))
    try:
        await probe.ask()
        left = await probe.clear_soon() if probe.answers.cut_short else await probe.clear()
    finally:
        if not probe.is_clear:  # it was interrupted
            with contextlib.suppress(TimeoutError):  # the next probe with this token does it
                async with asyncio.timeout(_CLEARING):
                    await probe.clear()
    return replace(probe.answers, left=left)


class _Silent(Exception):
    """Nothing comes back any more: whatever else is asked would only wait."""


class _Probe:
    """The questions in order, and what they may have left in the store."""

    def __init__(self, store: ProbedStore, draft: ObjectDraft) -> None:
        self._store, self._draft, self._key = store, draft, draft.key
        self._may_stand = False
        self._upload_id = ""
        self.answers = Answers()

    @property
    def is_clear(self) -> bool:
        return not self._may_stand and not self._upload_id

    async def ask(self) -> None:
        try:
            await self._store.check()
        except HotfolderError as error:
            self._note(listed=error)
            return
        try:
            await self._heard(self._abort_former())
            if isinstance(await self._ask_puts(), Receipt):
                await self._ask_upload()
                await self._ask_trailers()
        except _Silent as silent:
            self._note(cut_short=silent.__cause__)

    async def _abort_former(self) -> None:
        """Uploads that a killed probe of this token left open; who may not list them leaves them."""
        former = [upload async for upload in self._store.list_uploads(self._key)]
        for upload in former:
            if upload.key == self._key:
                await self._store.abort(upload.key, upload.upload_id)

    async def _ask_puts(self) -> Receipt | HotfolderError:
        store, draft = self._store, self._draft
        self._may_stand = True
        stored = await self._heard(
            store.put(draft, PROBE, sha256=PROBE_SHA256, unless_exists=False), "stored"
        )
        if not isinstance(stored, Receipt):
            self._may_stand = is_silence(stored)
            return stored
        await self._heard(store.head(self._key), "seen")
        await self._heard(self._read(), "read")
        await self._heard(store.metadata_names(self._key), "names")
        forged = await self._heard(
            store.put_claiming(draft, FORGED, checksum=PROBE_SHA256, signed=FORGED_SHA256), "forged"
        )
        if isinstance(forged, Receipt):
            await self._heard(store.head(self._key), "forged_seen")
        await self._heard(
            store.put_claiming(draft, PROBE, checksum=None, signed=FORGED_SHA256), "missigned"
        )
        await self._heard(store.put(draft, PROBE, sha256=PROBE_SHA256, unless_exists=True), "repeated")
        return stored

    async def _ask_upload(self) -> None:
        """The forged parts are not named at the completion."""
        store, key = self._store, self._key
        opened = await self._heard(store.create_multipart(self._draft))
        if not isinstance(opened, str):
            self._note(part=opened)
            return
        self._upload_id = opened
        await self._heard(
            store.part_claiming(key, opened, 2, FORGED, checksum=PROBE_SHA256, signed=FORGED_SHA256),
            "part_forged",
        )
        await self._heard(
            store.part_claiming(key, opened, 3, PROBE, checksum=None, signed=FORGED_SHA256),
            "part_missigned",
        )
        part = await self._heard(store.upload_part(key, opened, 1, PROBE, sha256=PROBE_SHA256), "part")
        if not isinstance(part, PartReceipt):
            return
        await self._heard(store.list_parts(key, opened), "parts")
        completed = await self._heard(
            store.complete(key, opened, [part], unless_exists=True), "completed_over"
        )
        if isinstance(completed, KeyTaken):
            completed = await self._heard(store.complete(key, opened, [part], unless_exists=False))
        self._note(completed=completed)
        if isinstance(completed, Receipt):
            self._upload_id = ""
            await self._heard(store.head(key), "assembled")
            await self._heard(self._read(), "assembled_read")

    async def _ask_trailers(self) -> None:
        trailing = await self._heard(self._store.put_trailing(self._draft, PROBE), "trailing")
        if isinstance(trailing, Receipt):
            await self._heard(self._read(), "trailing_read")

    async def _heard(self, question: Awaitable[T], name: str = "") -> T | HotfolderError:
        """The answer, noted under `name`. Raises `_Silent` where the store does not answer at all."""
        try:
            answer: T | HotfolderError = await question
        except HotfolderError as error:
            answer = error
        if name:
            self._note(**{name: answer})
        # What a store says is its own fault may be about this one question.
        about_all = isinstance(answer, DestinationError) and not answer.may_be_one_keys
        if is_silence(answer) and about_all:
            raise _Silent from answer  # type: ignore[misc]  # it is an error: see `is_silence`
        return answer

    async def _read(self) -> bytes | None:
        content = b""
        try:
            async with aclosing(self._store.get(self._key)) as chunks:
                async for chunk in chunks:
                    content += chunk
                    if len(content) > 10 * len(PROBE):
                        break
        except FileNotFoundError:
            return None  # an answer as good as another
        return content

    def _note(self, **answers: Any) -> None:
        self.answers = replace(self.answers, **answers)

    async def clear_soon(self) -> dict[str, HotfolderError]:
        """The same of a store that answers no more: it is not waited for, but named as what is left."""
        silent = self.answers.cut_short
        stands = self._key if self._may_stand else None
        try:
            async with asyncio.timeout(_CLEARING):
                return await self.clear()
        except TimeoutError:
            return {} if stands is None or silent is None else {stands: silent}

    async def clear(self) -> dict[str, HotfolderError]:
        """Remove what may be there; what refuses, with the reason."""
        left: dict[str, HotfolderError] = {}
        if self._upload_id:
            upload_id, self._upload_id = self._upload_id, ""
            try:
                await self._store.abort(self._key, upload_id)
            except HotfolderError as error:
                left[f"{self._key} (upload {upload_id})"] = error
        if self._may_stand:
            self._may_stand = False
            try:
                await self._store.delete(self._key)
            except HotfolderError as error:
                left[self._key] = error
        return left
