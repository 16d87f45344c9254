"""Read what Vonage answers: generous in form, strict in what counts as success.

What the vendor documents and leaves open: docs/providers/vonage.md.
"""

from __future__ import annotations

from typing import Any

from providers.errors import Uncertain
from providers.http.json_answers import parsed
from providers.http.redaction import forgetful

from .entries import entry, identifier, sorted_out, whole
from .refusals import NAME

#: One of these makes a JSON object a page of a list, whether or not anything was found.
_PAGE = ("_embedded", "_links", "page", "page_size", "total_items", "total_pages", "total_page")


@forgetful
def page(body: bytes, *, asked: int, page_size: int) -> dict[str, Any]:
    """Return a page: ``recordings, page, page_size, total_items?, total_pages?, set_aside?``.

    ``_embedded`` is absent where nothing was found, ``total_pages`` may be absent or be called
    ``total_page``, a smaller ``page_size`` than asked for may be applied, and links may be wrong:
    they are not read (docs/providers/vonage.md, Q5 and C2). ``set_aside`` has the entries whose id
    or start cannot be read (`vonage_entries`).
    """
    content = _json_object(body, "the list of recordings")
    if not any(name in content for name in _PAGE):
        raise Uncertain(NAME, "the list of recordings: the answer is JSON, but no page of a list")
    recordings, set_aside = sorted_out(_listed(content))
    found: dict[str, Any] = {
        "recordings": recordings,
        "page": asked,
        "page_size": whole(content.get("page_size")) or page_size,
        **({"set_aside": set_aside} if set_aside else {}),
    }
    totals = {
        "total_items": content.get("total_items"),
        "total_pages": content.get("total_pages", content.get("total_page")),
    }
    return {
        **found,
        **{name: count for name, raw in totals.items() if (count := whole(raw)) is not None},
    }


def _listed(content: dict[str, Any]) -> list[Any]:
    embedded = content.get("_embedded") or {"recordings": None}
    listed: Any = embedded.get("recordings", "nothing") if isinstance(embedded, dict) else "nothing"
    if listed is None:
        return []
    is_list = isinstance(listed, list) and (not listed or any(isinstance(x, dict) for x in listed))
    if not is_list:
        # A list under another name is not read, and no empty list either.
        raise Uncertain(NAME, "the list of recordings: _embedded could not be read")
    return list(listed)


@forgetful
def recording(body: bytes, what: str) -> dict[str, Any]:
    """A recording on its own, read as `vonage_entries.entry` does.

    Raises Uncertain when it has no id or no readable start: it could neither be fetched nor be
    given to a day.
    """
    found = entry(_json_object(body, what))
    if found.get("set_aside"):
        raise Uncertain(NAME, f"{what}: {found['set_aside']}")
    return found


@forgetful
def job_ids(body: bytes) -> list[str]:
    """Return the ids of a new export: one request may become several jobs, or none."""
    what = "the creation of an export"
    listed = _json_object(body, what).get("job_ids")
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
    if body.strip() and "fault" in _json_object(body, what):
        raise Uncertain(NAME, f"{what}: the answer is an error")


def _json_object(body: bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises Uncertain when the body is something else."""
    try:
        content = parsed(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Uncertain(NAME, f"{what}: the answer could not be read as a JSON object")
    return content
