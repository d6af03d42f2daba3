"""One file's journey, top to bottom."""

import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from posixpath import splitext
from typing import Any, Protocol

from hotfolder.core import naming, routing
from hotfolder.core.conflict import OnConflict
from hotfolder.core.entries import StoredObject, upload_entry
from hotfolder.core.objects import Label, Sent, Terms
from hotfolder.core.records import (
    Disposition,
    Job,
    JournalRow,
    Status,
    Verification,
    Verify,
    decimal_seconds,
)
from hotfolder.core.s3_words import is_cold
from hotfolder.formats import Format
from hotfolder.packing import Packed, Packs
from hotfolder.recorder import Recorder
from hotfolder.transfer import Sender

_MIME_TYPES = mimetypes.MimeTypes()  # the built-in table alone: the same answer on every machine
_BY_SUFFIX = _MIME_TYPES.types_map[True]


class Observer(Protocol):
    """Who follows the journey: told of every stage and of every run of original bytes read."""

    def stage(self, name: str) -> None: ...
    def read(self, size: int) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What holds for the files of one group. None: as the destination has it."""

    route: routing.Route
    form: Format
    storage_class: str | None = None
    tags: Mapping[str, str] | None = None
    verify: Verify = Verify.AUTO
    on_conflict: OnConflict = OnConflict.KEEP_BOTH


@dataclass(frozen=True, slots=True)
class Tools:
    """What the files of one folder need on their way. Made by `engine`."""

    packer: Packs
    sender: Sender
    recorder: Recorder
    rules: Callable[[str], Rules]  # of a group
    layout: naming.Layout
    inbox: str
    bucket: str
    storage_class: str
    host: str
    clock: Callable[[], float]
    user_name: Callable[[int], str]
    on_success: Disposition = Disposition.COMPLETED
    on_failure: Disposition = Disposition.FAILED
    command_args: tuple[str, ...] | None = None


async def deliver(job: Job, tools: Tools, flight: Observer) -> dict[str, Any]:
    """Carry one settled file to its end and return its ledger line. Raises `core.errors` only."""
    started, rules = tools.clock(), tools.rules(job.group)
    async with await tools.packer.open(job, rules.form, flight.read, flight.stage) as packed:
        sent = await tools.sender.send(
            packed, partial(label, job, packed, rules), flight.stage, terms_of(rules, tools)
        )
        entry = success_entry(job, packed, sent, rules, tools, started)
    flight.stage("recording")
    return await tools.recorder.finish(ending(job, entry, tools), flight.stage)


def terms_of(rules: Rules, tools: Tools) -> Terms:
    """How the files of a group are to be sent."""
    return _terms(rules, tools.storage_class, tools.on_success is Disposition.IN_PLACE)


@lru_cache(maxsize=1000)  # the groups that `Tools.rules` keeps: the same for each of their files
def _terms(rules: Rules, storage_class: str, in_place: bool) -> Terms:
    return Terms(
        hash_first=rules.route.needs_sha256,
        verify=rules.verify,
        cold=is_cold(rules.storage_class or storage_class),
        # What stands in completed/ without a record may be older than what has its key by now.
        on_conflict=OnConflict.KEEP_BOTH if in_place else rules.on_conflict,
    )


async def quarantine(
    job: Job, reason: str, tools: Tools, flight: Observer, *, in_place: bool = False
) -> dict[str, Any]:
    """Give a file up: move it to failed/ with its reason, and return its ledger line.

    `in_place`: it cannot be moved and stays where it is.
    """
    entry = upload_entry(
        job,
        status=Status.FAILED,
        started_at=tools.clock(),
        user=None,
        host=tools.host,
        mime_type=mime_type(job),
        format=tools.rules(job.group).form.name,
        attempts=job.attempt,
        error_message=reason,
        command_args=tools.command_args,
    )
    flight.stage("giving up")
    row = ending(job, entry, tools)
    if in_place:
        row = replace(row, disposition=Disposition.LEAVE)
    return await tools.recorder.finish(row, flight.stage)


async def call_off(job: Job, why: str, operation_id: str, tools: Tools) -> dict[str, Any]:
    """Record that somebody stopped the delivery of a file, which stays; returns its ledger line.

    The line has an `operation_id` of its own: what was begun under the job's may be gone on with.
    """
    stopped = replace(job, operation_id=operation_id)
    entry = upload_entry(
        stopped,
        status=Status.CANCELLED,
        started_at=job.made_at,
        user=None,
        host=tools.host,
        mime_type=mime_type(job),
        format=tools.rules(job.group).form.name,
        attempts=job.attempt,
        error_message=why,
        command_args=tools.command_args,
        metadata={"cancelled": job.operation_id},
    )
    row = replace(ending(stopped, entry, tools), disposition=Disposition.LEAVE)
    return await tools.recorder.finish(row, lambda _: None)


def label(job: Job, packed: Packed, rules: Rules, sha256: bytes | None) -> Label:
    """Keys and metadata of the object. Raises `FileRejected` where the key would be too long."""
    return Label(
        key=rules.route.key(job, sha256),
        route=rules.route,
        job=job,
        content_type=packed.form.content_type,
        metadata={
            "hotfolder-size": str(packed.size),
            "hotfolder-mtime": decimal_seconds(packed.mtime_ns),
            "hotfolder-name": routing.name_metadata(job.relpath),
            "hotfolder-operation": job.operation_id,
            "hotfolder-format": packed.form.name,
        },
        storage_class=rules.storage_class,
        tags=rules.tags,
    )


def success_entry(
    job: Job, packed: Packed, sent: Sent, rules: Rules, tools: Tools, started: float
) -> dict[str, Any]:
    """The ledger line of a proven object, as far as it is known before the move."""
    form = sent.format or packed.form.name
    metadata: dict[str, Any] = {"requests": sent.receipt.attempts}
    if sent.replaced is not None:
        metadata["replaced"] = asdict(sent.replaced)
    return upload_entry(
        job,
        status=Status.SKIPPED if sent.skipped else Status.SUCCESS,
        started_at=started,
        user=tools.user_name(packed.owner),
        host=tools.host,
        mime_type=mime_type(job),
        format=form,
        digests=sent.digests,
        stored=StoredObject(
            bucket=tools.bucket,
            key=sent.key,
            storage_class=rules.storage_class or tools.storage_class,
            etag=sent.receipt.etag,
            version_id=sent.receipt.version_id,
            parts=sent.parts,
        ),
        verification=sent.verification,
        attempts=job.attempt,
        # Until the recorder has moved it; what is packed otherwise than the object is not kept.
        compressed_file_path=packed.staged_at if form == packed.form.name else None,
        command_args=tools.command_args,
        metadata=metadata,
    )


def ending(job: Job, entry: dict[str, Any], tools: Tools) -> JournalRow:
    """The row that makes the decision durable: which line it will be, and where the original goes."""
    given_up = entry["status"] == Status.FAILED
    disposition = tools.on_failure if given_up else tools.on_success
    if disposition is Disposition.DELETE and entry["verification"] == Verification.HEAD:
        # A size is no proof to delete the only copy on; and in the inbox it would be sent again.
        disposition = Disposition.COMPLETED
    place = naming.completed_place(job.relpath, tools.layout, job.made_at)
    return JournalRow(
        operation_id=job.operation_id,
        folder=job.folder,
        relpath=job.relpath,
        fingerprint=job.fingerprint,
        disposition=disposition,
        target=job.relpath if given_up else place,
        entry=entry,
        root="" if job.root == tools.inbox else job.root,
        marker=job.marker,
    )


def mime_type(job: Job) -> str | None:
    """By the name's suffix; the few that say how a file is packed are looked at in detail."""
    if job.fingerprint.tree:
        return None
    known = _BY_SUFFIX.get(splitext(job.relpath)[1])
    return known if known is not None else _MIME_TYPES.guess_type(job.name)[0]
