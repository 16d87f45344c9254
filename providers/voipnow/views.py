"""The choice of a call's view: a call has one view for each of its legs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from config.masking import mask_foreign
from providers.errors import Uncertain
from providers.live_calls import LiveCall

from .refusals import NAME, CallRefused, Refused


class NoFittingView(Refused):
    """None or several of the call's views are of the extension: the reason lists them."""


def fitting_view(
    calls: Iterable[LiveCall], call_id: str, extension: str = "@self"
) -> Mapping[str, Any]:
    """Return the view of a listed call that belongs to the extension; with ``@self``, to the
    extension that the call itself names.

    Raises CallRefused when the call is not listed, Uncertain when the call may be one whose id
    could not be read, NoFittingView when none or several views fit.
    """
    listed = {one.call_id: one for one in calls}
    call = listed.get(call_id)
    if call is None and None in listed:
        raise Uncertain(
            NAME, f"call {call_id} is not listed, but the id of a listed call could not be read"
        )
    if call is None:
        raise CallRefused(
            NAME,
            f"call {call_id} is not among the user's calls: it has ended, or call_id, user_id or "
            "extension is wrong; list the calls",
        )
    wanted = call.more["extension"] if extension == "@self" else extension
    fitting: list[Mapping[str, Any]] = [
        one
        for one in call.views
        if wanted is not None and one["extension"] == wanted and one["view_id"] is not None
    ]
    if len(fitting) == 1:
        return fitting[0]
    views = ", ".join(f"{one['view_id']} of {one['extension']}" for one in call.views)
    raise NoFittingView(
        NAME,
        f"{'several views' if fitting else 'no view'} of call {call_id} "
        f"{'are' if fitting else 'is'} of extension {mask_foreign(str(wanted or 'unknown'))}; "
        f"its views: {mask_foreign(views) or 'none'}; give view_id",
    )
