"""What each operation of the Vonage API does, once its caller is admitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .faults import FILE_KINDS, ZIP_KINDS
from .log import Log, Record
from .messages import FileBody, Reply, Request, json_reply
from .vonage_answers import error_reply, not_ready, page_of, shown
from .vonage_files import Served, file_reply
from .vonage_recordings import InvalidParameter, Order, Recording, Search
from .vonage_state import Account, Switches


class Refusal(Exception):
    """An error answer; `kind` is its natural shape, which a switch may change."""

    def __init__(self, status: int, message: str, kind: str = "msg", **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.more = status, message, kind, more

    def reply(self, switches: Switches) -> Reply:
        kind = switches.error_body or self.kind
        reply = error_reply(kind, self.status, self.message, **self.more)
        if self.status == 401:
            reply.headers["WWW-Authenticate"] = 'OAuth2 realm="WSO2 API Manager"'
        return reply


class Provider(Protocol):
    """What an operation needs of its provider."""

    log: Log
    folder: Path

    def take(self, names: tuple[str, ...], record: Record, kinds: Mapping[str, Any]) -> Any:
        """Faults of these kinds that the request meets."""


@dataclass(frozen=True)
class Call:
    """One admitted call."""

    provider: Provider
    request: Request
    record: Record
    account: Account
    recording_id: str

    def recording(self) -> Recording:
        """The recording that is asked for; raises Refusal where there is none."""
        self.record["recording_id"] = self.recording_id
        recording = self.account.visible(self.recording_id)
        if recording is None:
            raise Refusal(404, "Recording not found")
        return recording

    def file(self, served: Served, faults: Mapping[str, Mapping[str, Any]]) -> Reply:
        """Serves a file as the request's Range and the account's switches want it."""
        return file_reply(self.request, served, self.account.switches, faults)


def listing(call: Call) -> Reply:
    """GET company_call_recordings"""
    query, account = call.request.query, call.account
    page = _number(query, "page", 1, least=0)
    size = _number(query, "page_size", 10, least=1)
    size = min(size, account.switches.page_size_cap or size)
    order = Order.read(query.get("order", "start:DESC"))
    found = account.find(Search.read(query), order)
    body = page_of(found, page, size, account, call.request.origin())
    if body is None:
        raise Refusal(404, "No such page")
    return json_reply(200, body)


def get(call: Call) -> Reply:
    """GET company_call_recordings/{recording_id}"""
    return json_reply(200, shown(call.recording(), call.account, call.request.origin()))


def delete(call: Call) -> Reply:
    """DELETE company_call_recordings/{recording_id}"""
    recording = call.recording()
    if not call.account.remove(recording):
        raise Refusal(404, "Recording not found")
    call.provider.log.effect(call.record, "recording_deleted", recording_id=recording.id)
    return Reply(204)


def export(call: Call) -> Reply:
    """POST company_call_recordings/export"""
    try:
        filters = call.request.json()
    except ValueError as error:
        raise Refusal(400, "The body is not JSON") from error
    if not isinstance(filters, dict):
        raise Refusal(400, "The body is not a JSON object")
    jobs = call.account.export(filters, call.provider.folder)
    window = [filters.get("start:gte"), filters.get("start:lte")]
    created = {"filters": filters, "window": window, "job_ids": [job.id for job in jobs]}
    call.provider.log.effect(call.record, "export_created", **created)
    return json_reply(call.account.switches.export_status, {"job_ids": created["job_ids"]})


def audio(call: Call) -> Reply:
    """GET audio/recording/{recording_id}"""
    recording = call.recording()
    if recording.withheld == "everywhere":
        raise Refusal(404, "Recording not found")
    call.record["file"] = True
    faults = call.provider.take(("audio",), call.record, FILE_KINDS)
    etag = f"audio-{recording.id}-{recording.audio.size}"
    return call.file(Served(recording.audio, call.account.switches.audio_type, etag), faults)


def retrieve(call: Call) -> Reply:
    """GET bulkDownload/retrieve"""
    query, account = call.request.query, call.account
    call.record["job_id"] = query.get("jobId")
    job = account.jobs.get(query.get("jobId", ""))
    if job is None or query.get("userName") != account.login_name:
        raise Refusal(404, "Export job not found")
    if job.expired:
        raise Refusal(410, "The export has expired")
    archive = job.poll()
    call.record["poll"] = job.polls
    if archive is None:
        return not_ready(account.switches.not_ready)
    call.record["file"] = True
    kinds = {**FILE_KINDS, **ZIP_KINDS}
    faults = call.provider.take(("retrieve",), call.record, kinds)
    for kind in faults.keys() & ZIP_KINDS.keys():
        archive = job.variant(kind, faults[kind])
    body = FileBody(archive.path, archive.size)
    return call.file(Served(body, "application/zip", archive.etag), faults)


PERFORM: dict[str, Callable[[Call], Reply]] = {
    "list": listing,
    "get": get,
    "delete": delete,
    "export": export,
    "audio": audio,
    "retrieve": retrieve,
}


def _number(query: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise InvalidParameter(name, f"must be an integer of at least {least}")
    return int(text)
