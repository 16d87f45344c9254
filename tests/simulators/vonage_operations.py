"""What each operation of the Vonage API does, once its caller is admitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .faults import FILE_KINDS, JOB_KINDS, STATUS_KINDS, ZIP_KINDS
from .log import Log, Record
from .messages import FileBody, Reply, Request, json_reply
from .vonage_answers import (
    Listing,
    error_reply,
    not_ready,
    page_of,
    recordings_path,
    shown,
    shown_job,
    written,
)
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

    def signed(self, served: Served, account: Account, faults: Mapping[str, Any]) -> str:
        """A signed address of the account's store, under which the file is served once."""


@dataclass(frozen=True)
class Call:
    """One admitted call."""

    provider: Provider
    request: Request
    record: Record
    account: Account
    arguments: Mapping[str, str]

    def user_id(self) -> str | None:
        """The user whose on-demand recordings are meant, None for the company's; raises Refusal
        where there is no such user.
        """
        if "user_id" not in self.arguments:
            return None
        user_id = self.account.user(self.arguments["user_id"])
        if user_id is None:
            raise Refusal(404, "User not found")
        return user_id

    def recording(self) -> Recording:
        """The recording that is asked for; raises Refusal where there is none."""
        recording_id = self.arguments["recording_id"]
        self.record["recording_id"] = recording_id
        recording = self.account.visible(recording_id)
        if recording is None:
            raise Refusal(404, "Recording not found")
        return recording

    def listed_recording(self) -> Recording:
        """The same, where it belongs to the list that the path names."""
        user_id, recording = self.user_id(), self.recording()
        if recording.user_id != user_id:
            raise Refusal(404, "Recording not found")
        return recording

    def page(self, listing: Listing) -> Reply:
        """The page of a listing that is asked for."""
        query, switches = self.request.query, self.account.switches
        page = _number(query, "page", 1, least=0)
        size = _number(query, "page_size", 10, least=1)
        size = min(size, switches.page_size_cap or size)
        body = page_of(listing, page, size, self.account, self.request.origin())
        if body is None:
            raise Refusal(404, "No such page")
        return written(body, switches)

    def file(self, served: Served, faults: Mapping[str, Mapping[str, Any]]) -> Reply:
        """Serves a file as the request's Range and the account's switches want it, or redirects
        to the store that has it.
        """
        if self.account.switches.store is None:
            return file_reply(self.request, served, self.account.switches, faults)
        self.record["file"] = False
        address = self.provider.signed(served, self.account, faults)
        return Reply(self.account.switches.redirect_status, {"Location": address})


def listing(call: Call) -> Reply:
    """GET company_call_recordings, users/{user_id}/call_recordings"""
    query, account, user_id = call.request.query, call.account, call.user_id()
    order = Order.read(query.get("order", "start:DESC"))
    found = account.find(Search.read(query, user_id), order)
    path, origin = recordings_path(account, user_id), call.request.origin()
    return call.page(Listing("recordings", found, lambda r: shown(r, account, origin), path))


def get(call: Call) -> Reply:
    """GET .../{recording_id}"""
    body = shown(call.listed_recording(), call.account, call.request.origin())
    return written(body, call.account.switches)


def delete(call: Call) -> Reply:
    """DELETE .../{recording_id}"""
    recording = call.listed_recording()
    if not call.account.remove(recording):
        raise Refusal(404, "Recording not found")
    call.provider.log.effect(call.record, "recording_deleted", recording_id=recording.id)
    return Reply(204)


def export(call: Call) -> Reply:
    """POST .../export"""
    user_id = call.user_id()
    try:
        filters = call.request.json()
    except ValueError as error:
        raise Refusal(400, "The body is not JSON") from error
    if not isinstance(filters, dict):
        raise Refusal(400, "The body is not a JSON object")
    faults = call.provider.take((call.record["operation"],), call.record, JOB_KINDS)
    jobs = call.account.export(filters, call.provider.folder, user_id, faults)
    window = [filters.get("start:gte"), filters.get("start:lte")]
    job_ids = [job.id for job in jobs]
    created = {"user_id": user_id, "filters": filters, "window": window, "job_ids": job_ids}
    call.provider.log.effect(call.record, "export_created", **created)
    return json_reply(call.account.export_status, {"job_ids": job_ids})


def jobs(call: Call) -> Reply:
    """GET users/{user_id}/call_recordings/jobs: the jobs that this user created, newest first"""
    user_id, account = call.user_id(), call.account
    faults = call.provider.take(("jobs",), call.record, STATUS_KINDS)
    made = list(account.jobs.values()) if user_id == account.user_id else []
    rows = [shown_job(job, account, call.request.origin(), faults) for job in reversed(made)]
    status = call.request.query.get("status")
    found = [row for row in rows if status in (None, row.get("status"))]
    path = f"{recordings_path(account, account.user_id)}/jobs"
    return call.page(Listing("jobs", found, dict, path))


def job(call: Call) -> Reply:
    """GET users/{user_id}/call_recordings/jobs/{job_id}"""
    user_id, account = call.user_id(), call.account
    call.record["job_id"] = call.arguments["job_id"]
    job = account.jobs.get(call.arguments["job_id"])
    if job is None or user_id != account.user_id:
        raise Refusal(404, "Export job not found")
    faults = call.provider.take(("job",), call.record, STATUS_KINDS)
    body = shown_job(job, account, call.request.origin(), faults)
    call.record["poll"] = job.polls
    return json_reply(200, body)


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
    call.record["job_id"] = job_id = account.variant.job_named(query)
    job = account.jobs.get(job_id)
    if job is None or not account.variant.is_user(query, account.login_name):
        raise Refusal(404, "Export job not found")
    archive = job.poll()
    call.record["poll"] = job.polls
    if job.expired:
        raise Refusal(410, "The export has expired")
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
    "on_demand_list": listing,
    "on_demand_get": get,
    "on_demand_delete": delete,
    "on_demand_export": export,
    "jobs": jobs,
    "job": job,
    "audio": audio,
    "retrieve": retrieve,
}


def _number(query: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise InvalidParameter(name, f"must be an integer of at least {least}")
    return int(text)
