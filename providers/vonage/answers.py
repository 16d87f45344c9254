"""Reading Vonage's answers: lenient form, strict success.

The documented facts and the open questions: docs/providers/vonage.md.
"""

from __future__ import annotations

from typing import Any

from providers.errors import Uncertain
from providers.http.json_answers import json_object
from providers.http.redaction import drop_frames
from providers.recordings import Page, Recording

from . import recordings
from .recordings import identifier, sorted_out, whole
from .refusals import NAME

#: One of these makes a JSON object a page of a list, even if the page is empty.
_PAGE = ("_embedded", "_links", "page", "page_size", "total_items", "total_pages", "total_page")


@drop_frames
def page(body: bytes, *, number: int, page_size: int) -> Page:
    """Return one page of a list.

    ``_embedded`` is absent from an empty list, ``total_pages`` may be absent too or be called
    ``total_page``, and the provider may apply a smaller ``page_size`` than requested
    (docs/providers/vonage.md). Links are not read: the path of ``next`` in the vendor's sample is
    misspelt.
    """
    content = json_object(body, NAME, "the list of recordings")
    if not any(name in content for name in _PAGE):
        raise Uncertain(
            NAME, "the list of recordings: the answer is JSON, but not a page of a list"
        )
    found, set_aside = sorted_out(_listed(content))
    return Page(
        found,
        page=number,
        page_size=whole(content.get("page_size")) or page_size,
        total_items=whole(content.get("total_items")),
        total_pages=whole(content.get("total_pages", content.get("total_page"))),
        set_aside=set_aside,
    )


def _listed(content: dict[str, Any]) -> list[Any]:
    embedded = content.get("_embedded") or {"recordings": None}
    listed: Any = embedded.get("recordings", "nothing") if isinstance(embedded, dict) else "nothing"
    if listed is None:
        return []
    is_list = isinstance(listed, list) and (not listed or any(isinstance(x, dict) for x in listed))
    if not is_list:
        # A list under another name is not read, and is not taken for an empty list either.
        raise Uncertain(NAME, "the list of recordings: _embedded could not be read")
    return list(listed)


@drop_frames
def recording(body: bytes, what: str) -> Recording:
    """Return a single recording.

    Raises Uncertain when the recording has no id or no readable start: it could neither be fetched
    nor be assigned to a day.
    """
    found = recordings.recording(json_object(body, NAME, what))
    if found.set_aside:
        raise Uncertain(NAME, f"{what}: {found.set_aside}")
    return found


@drop_frames
def job_ids(body: bytes) -> list[str]:
    """Return the ids of a new export: one request may become several jobs, or none."""
    what = "the creation of an export"
    listed = json_object(body, NAME, what).get("job_ids")
    if not isinstance(listed, list):
        raise Uncertain(NAME, f"{what}: the answer has no list of job_ids")
    ids = [identifier(one) for one in listed]
    if not all(ids):
        raise Uncertain(NAME, f"{what}: one of the job_ids could not be read")
    return list(dict.fromkeys(one for one in ids if one))


def deleted(body: bytes, what: str) -> None:
    """Accept no body, as the vendor documents, or JSON. Raises Uncertain for anything else, such as
    a page of a proxy.
    """
    if body.strip() and "fault" in json_object(body, NAME, what):
        raise Uncertain(NAME, f"{what}: the answer is an error")
