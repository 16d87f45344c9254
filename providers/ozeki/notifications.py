"""Reading the forms that an Ozeki server posts as notifications, and the rule for answering them.

The vendor leaves the names of most fields open (docs/providers/ozeki.md, "Notifications"). Nothing
in a form proves who sent it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl

from providers.live_calls import Notification, Unreadable

__all__ = ["Notification", "Unreadable", "answerable", "notification"]

#: A form holds a handful of short fields; a larger form is not the server's.
_MOST_BYTES = 64 << 10
_MOST_FIELDS = 100
_LONGEST_NAME = 64
#: The fields that are read; of other fields that occur twice, the first is kept.
_READ = ("notificationname", "callid", "recordurl")

#: The notifications that a document with Record may answer. RecordCompleted is none of them: such
#: an answer would make each recording begin the next one (docs/providers/ozeki.md, C15).
_ANSWERABLE = {
    "ozml_third_party": frozenset({"CallChanged"}),
    "ozml_extension": frozenset(
        {
            "GoTo",
            "DtmfEntered",
            "SMSDeliveryReport",
            "IncomingSMS",
            "IncomingCall",
            "CallConnected",
        }
    ),
}
#: The states that end a call (docs/providers/ozeki.md): there is nothing left to record.
_ENDED = frozenset({"completed", "cancelled", "busy", "error"})
#: The notification of a recording's end.
_RECORDED = "RecordCompleted"
_OTHERS = (_RECORDED, "RoutingInterception", "Error")
_SPELLINGS = {name.lower(): name for name in (*_OTHERS, *frozenset.union(*_ANSWERABLE.values()))}


def notification(body: bytes) -> Notification:
    """Return the notification in a form's body (application/x-www-form-urlencoded).

    Names of fields count in any case of letters: pages write CallID and CallId. A form without
    NotificationName is a RecordCompleted if it holds a RecordURL, the only field that the vendor
    promises for that notification.

    Raises Unreadable for anything else, and for a form that names its notification, its call or its
    recording twice and differently.
    """
    fields = _fields(body)
    by_name = {name.lower(): value.strip() or None for name, value in fields.items()}
    record_url = by_name.get("recordurl")
    name = by_name.get("notificationname") or (_RECORDED if record_url else None)
    if name is None:
        raise Unreadable("the form has neither NotificationName nor RecordURL: not a notification")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise Unreadable("the NotificationName is not a valid name")
    name = _SPELLINGS.get(name.lower(), name)
    state = by_name.get("callstate") or by_name.get("state")
    return Notification(
        name=name,
        call_id=by_name.get("callid"),
        call_state=state,
        call_is_over=(state or "").lower() in _ENDED,
        finished_url=record_url if name == _RECORDED else None,
        record_url=record_url,
        digits=by_name.get("dtmfdigits"),
        fields=MappingProxyType(fields),
    )


def answerable(control: str, notification_name: str) -> bool:
    """Return whether the answer to this notification may begin a recording under this control (an
    account's ``control``); never under "http", which begins recordings by requests.
    """
    return notification_name in _ANSWERABLE.get(control, ())


def _fields(body: bytes) -> dict[str, str]:
    if len(body) > _MOST_BYTES:
        raise Unreadable(f"the form is larger than {_MOST_BYTES >> 10} KiB, and was not read")
    try:
        # A name in an encoding other than UTF-8 must not cost the address of a recording.
        pairs = parse_qsl(
            body.decode("utf-8", "replace"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise Unreadable(f"the form has more than {_MOST_FIELDS} fields") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        first = found.setdefault(_in_one_spelling(name, found), value)
        if first != value and name.lower() in _READ:
            raise Unreadable("the form has a field twice, with different values")
    return found


def _in_one_spelling(name: str, found: Mapping[str, str]) -> str:
    return next((one for one in found if one.lower() == name.lower()), name)
