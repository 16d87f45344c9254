"""The shapes of Vonage's answers: recordings, pages of them, and errors of every layer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from .messages import Reply, Text, json_reply
from .misbehaviour import dress
from .vonage_jobs import Job
from .vonage_recordings import Recording
from .vonage_state import Account, Switches

HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"

GATEWAY = {
    900901: ("Invalid Credentials", "Access failure for API. Make sure your token is valid."),
    900902: ("Missing Credentials", "Make sure your request carries the API's credentials."),
    900906: ("No matching resource found", "No matching resource found for the request."),
    900908: ("Resource forbidden", "User is not authorized to access the API: no subscription."),
    900800: ("Message throttled out", "You have exceeded your quota."),
    101503: ("Error connecting to the back end", "The backend did not answer."),
}
CODES = {401: 900901, 403: 900908, 404: 900906, 429: 900800}


def shown(recording: Recording, account: Account, origin: str) -> dict[str, Any]:
    """A recording as the vendor's page shows it."""
    switches = account.switches
    base = origin + account.variant.base
    own = f"{base}{recordings_path(account, recording.user_id)}/{recording.id}"
    return {
        "_links": {"self": {"href": own}},
        "call_direction": recording.call_direction,
        "call_id": recording.call_id,
        "caller_id": _identifier(recording.caller_id, switches),
        "cnam": recording.cnam,
        "dnis": recording.dnis,
        "download_url": f"{base}/api/audio/recording/{recording.id}",
        "end": shown_date(recording.end, switches),
        "extensions": [_identifier(e, switches) for e in recording.extensions],
        "file_name": recording.file_name,
        "id": _identifier(recording.id, switches),
        "rule_ids": [_identifier(r, switches) for r in recording.rule_ids],
        "start": shown_date(recording.start, switches),
        **_measures(recording, switches),
        **recording.listed,
    }


def shown_job(
    job: Job, account: Account, origin: str, faults: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """An export job as the vendor's page shows it, or as faults (faults.STATUS_KINDS) want it."""
    progress = job.progress()
    base = origin + account.variant.base
    own = f"{base}{recordings_path(account, account.user_id)}/jobs/{job.id}"
    completed = progress.files_completed
    if "backwards" in faults:
        completed = max(0, job.files_shown - int(faults["backwards"]["files"]))
    job.files_shown = completed
    body: dict[str, Any] = {"_links": {"self": {"href": own}}}
    if progress.valid_until:
        user = "" if account.variant.user_optional else f"&userName={account.login_name}"
        body["download_url"] = f"{base}/api/bulkDownload/retrieve?jobId={job.id}{user}"
        body["valid_until"] = shown_date(progress.valid_until, account.switches)
    body |= {"files_completed": completed, "files_total": progress.files_total}
    body |= {"id": job.id, "status": progress.status}
    altered = faults.get("altered_job", {"fields": {}, "without": ()})
    body |= altered["fields"]
    return {name: value for name, value in body.items() if name not in altered["without"]}


def _measures(recording: Recording, switches: Switches) -> dict[str, Any]:
    """Size and duration, as far as they are listed."""
    size = 0 if switches.sizes == "zero" else recording.audio.size
    sized = {} if switches.sizes == "absent" else {"file_size_in_bytes": size}
    timed = {} if switches.durations == "absent" else {"duration": recording.duration}
    return {**timed, **sized}


def written(body: dict[str, Any], switches: Switches) -> Reply:
    """A list or a recording in JSON, in the encoding that the account's switch chose."""
    if switches.text_encoding == "ascii":
        return json_reply(200, body)
    data = json.dumps(body, ensure_ascii=False).encode(switches.text_encoding, "surrogateescape")
    return Reply(200, {"Content-Type": "application/json"}, Text(data))


def _identifier(number: int | None, switches: Switches) -> int | str | None:
    return str(number) if number is not None and switches.identifiers == "string" else number


def shown_date(moment: datetime, switches: Switches) -> str:
    """A date in UTC, in the form that the account's switch chose."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{switches.date_format}"


def recordings_path(account: Account, user_id: str | None) -> str:
    """Where the company's recordings lie below the base, or a user's on-demand ones."""
    path = f"/api/accounts/{account.account_id}"
    if user_id is None:
        return f"{path}/company_call_recordings"
    return f"{path}/users/{user_id}/call_recordings"


@dataclass(frozen=True)
class Listing:
    """What is listed: its name, every row there is, how a row is shown, and the list's path."""

    name: str
    found: Sequence[Any]
    show: Callable[[Any], dict[str, Any]]
    path: str


def page_of(
    listing: Listing, page: int, size: int, account: Account, origin: str
) -> dict[str, Any] | None:
    """One page of a listing; None where the account's switches answer 404 past the end."""
    found = listing.found
    switches = account.switches
    first = switches.first_page
    pages = -(-len(found) // size)
    last = first + max(0, pages - 1)
    page = max(page, first)
    if found and page > last and switches.past_the_end == "404":
        return None
    at = (last if page > last and switches.past_the_end == "last" else page) - first
    rows = found[at * size : (at + 1) * size]
    body: dict[str, Any] = {}
    emptiness = switches.past_the_end if found else switches.nothing_found
    if rows or emptiness != "absent":
        body["_embedded"] = {listing.name: [listing.show(row) for row in rows]}
    body["_links"] = _links(listing.path, page, first, last, account, origin)
    body |= {"page": page, "page_size": size}
    if switches.totals != "absent":
        body["total_items"] = len(found)
        body["total_pages" if switches.totals == "both" else "total_page"] = pages
    return body


def _links(
    path: str, page: int, first: int, last: int, account: Account, origin: str
) -> dict[str, Any]:
    variant = account.variant
    listing = origin + variant.base + path
    following = {
        "documented": origin + variant.next_base + path,
        "correct": listing,
        "elsewhere": "http://elsewhere.invalid" + variant.base + path,
    }[account.switches.next_link]
    links = {"first": (listing, first)}
    if page > first:
        links["prev"] = (listing, page - 1)
    links["self"] = (listing, page)
    if page < last:
        links["next"] = (following, page + 1)
    links["last"] = (listing, last)
    return {name: {"href": f"{url}?page={number}"} for name, (url, number) in links.items()}


def error_reply(
    kind: str, status: int, message: str, *, code: int | None = None, name: str | None = None
) -> Reply:
    """An error in one of the shapes that the gateway and the services behind it use:
    wso2-json, wso2-xml, problem, msg, vis, oauth, html, json, empty; any other text is sent
    unchanged.
    """
    number = code or CODES.get(status, 101503)
    title, description = GATEWAY[number]
    if kind in ("wso2-xml", "html", "empty"):
        return _text_error(kind, status, number, message)
    fault = {"code": number, "message": title, "description": message or description}
    invalid = [{"name": name, "reason": message}] if name else []
    problem = {"status": status, "title": message, "instance": "/", "invalid_parameters": invalid}
    fields = [{"field": name, "message": message}] if name else []
    shapes: dict[str, Any] = {
        "wso2-json": {"fault": fault},
        "problem": problem,
        "msg": {"msg": message, "status": status},
        "vis": {"errorCode": f"VIS-{status}", "errorMessage": message, "errors": fields},
        "oauth": {"error": "invalid_grant", "error_description": message},
        "json": {"status": "IN_PROGRESS"},
    }
    if kind in shapes:
        return json_reply(status, shapes[kind])
    return Reply(status, {"Content-Type": "text/plain"}, Text(kind.encode()))


def _text_error(kind: str, status: int, code: int, message: str) -> Reply:
    if kind == "empty":
        return Reply(status)
    if kind == "html":
        page = HTML.format(escape(message)).encode()
        return Reply(status, {"Content-Type": "text/html;charset=UTF-8"}, Text(page))
    title, description = GATEWAY[code]
    xml = (
        '<ams:fault xmlns:ams="http://wso2.org/apimanager/security">'
        f"<ams:code>{code}</ams:code><ams:message>{title}</ams:message>"
        f"<ams:description>{escape(message or description)}</ams:description></ams:fault>"
    )
    return Reply(status, {"Content-Type": "application/xml; charset=UTF-8"}, Text(xml.encode()))


def fault_reply(parameters: dict[str, Any]) -> Reply:
    """The answer that an "answer" fault asks for."""
    status = int(parameters["status"])
    body = parameters["body"]
    if isinstance(body, str):
        reply = error_reply(body, status, f"Simulated answer {status}")
    else:
        reply = json_reply(status, body)
    return dress(reply, parameters)


def not_ready(kind: str) -> Reply:
    """What retrieve answers while a job runs: nobody documents it, so it can be anything."""
    if kind in ("202", "409"):
        return json_reply(int(kind), {"status": "IN_PROGRESS"})
    if kind == "204":
        return Reply(204)
    if kind == "404":
        return error_reply("msg", 404, "Export job not found")
    shape = kind.removeprefix("200-")
    return error_reply(shape, 200, "Your export is being prepared")
