"""The meaning of Vonage's refusals and errors: one short reason, for any form of the body.

The gateway and its services have several forms (docs/providers/vonage.md, Q7).
"""

from __future__ import annotations

import json
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from providers.errors import BadCredentials, ProviderError, Rejected
from providers.http import statuses
from providers.http.exchange import Answer
from providers.http.redaction import redact_reason
from providers.http.text import decoded

NAME = "vonage"

_NOT_SUBSCRIBED = {"900908", "900909"}
_NO_SUCH_ADDRESS = "900906"
_TEXTS = (
    "title",
    "msg",
    "errorMessage",
    "error",
    "error_description",
    "message",
    "description",
    "detail",
)


def refusal(answer: Answer, what: str) -> ProviderError:
    """Return the error of a status other than a success; ``what`` begins the reason."""
    reason, code = error_reason(answer.body)
    refused = statuses.refusal(NAME, answer, what, reason)
    if answer.status in (429, 503):
        return refused
    if is_not_subscribed(answer):
        return BadCredentials(
            NAME,
            f"{refused}; the application is not subscribed to the CallRecording API suite: "
            "subscribe it in the vendor's portal",
        )
    if code == _NO_SUCH_ADDRESS:
        # The gateway's 404, not the recording's: taken for "gone" it would end lists and deletions.
        return Rejected(NAME, f"{refused}; the gateway has no such address: check base_url")
    return refused


def is_not_subscribed(answer: Answer) -> bool:
    """Return whether the gateway says that no token will help, because the application lacks its
    subscription.
    """
    return answer.status in (401, 403) and error_reason(answer.body)[1] in _NOT_SUBSCRIBED


def error_reason(body: bytes) -> tuple[str, str | None]:
    """Return the reason in one line without numbers and credentials and, from the gateway, its
    code; the reason is empty if the body gives none.
    """
    text = decoded(body[:65536]).text.strip()
    reason, code = _xml_reason(text) if text.startswith("<") else _json_reason(text)
    return redact_reason(reason), code.strip() if code else None


def _json_reason(text: str) -> tuple[str, str | None]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return "", None
    if not isinstance(content, dict):
        return "", None
    fault = content.get("fault")
    if isinstance(fault, dict):
        # WSO2's gateway: {"fault": {"code", "message", "description"}}
        return _joined(fault.get("message"), fault.get("description")), str(fault.get("code"))
    # Services behind it: {"title", "invalid_parameters"}, {"msg"}, {"errorCode", "errorMessage",
    # "errors"}; OAuth: {"error", "error_description"}; the gateway since 4.0 has "code" at the top.
    texts = [content.get(name) for name in _TEXTS]
    code = content.get("code")
    return (
        _joined(*texts, *_named(content, "invalid_parameters"), *_named(content, "errors")),
        str(code) if isinstance(code, str | int) else None,
    )


def _named(content: dict[str, Any], name: str) -> list[str]:
    """Return which parameters are wrong, and why."""
    entries = content.get(name)
    return [
        _joined(entry.get("name", entry.get("field")), entry.get("reason", entry.get("message")))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    ]


def _xml_reason(text: str) -> tuple[str, str | None]:
    """Return the reason of WSO2's gateway up to 3.x:
    <ams:fault><ams:code/><ams:message/><ams:description/>.
    """
    try:
        root: Element = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError):
        return "a page of HTML" if "<html" in text[:1000].lower() else "unreadable XML", None
    if root.tag.rpartition("}")[2].lower() == "html":
        return "a page of HTML", None
    fields = {child.tag.rpartition("}")[2]: child.text for child in root.iter()}
    return _joined(fields.get("message"), fields.get("description")), fields.get("code")


def _joined(*texts: object) -> str:
    reasons = [redact_reason(text) for text in texts if isinstance(text, str) and text.strip()]
    return ": ".join(dict.fromkeys(reasons))
