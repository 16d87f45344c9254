"""Pauses of an account, of which its row in the ledger holds one.

A pause for refused credentials ends when the account is corrected. A pause that the provider asked
for does not. Where both overlap and the former is longer, its reason names the latter with its end.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

from .job import iso

#: How the reason begins for which an account with refused credentials rests.
REFUSED_CREDENTIALS = "the provider refuses the credentials"

_ALSO = re.compile(r"; until (?P<until>[0-9T:.-]+Z), also: (?P<because>.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause: its end, in seconds since 1970 by the database's clock, and its reason."""

    until: float
    because: str


def combined(old: Pause, new: Pause) -> Pause:
    """Return one pause for two that overlap: the longer one, which remembers the other one if only
    the longer one ends with a correction of the account.
    """
    longer = new if new.until > old.until else old
    if not _is_refusal(longer):
        return longer
    asked = [one for one in (old, new) if not _is_refusal(one)]
    asked += [one for one in map(remembered, (old, new)) if one is not None]
    if not asked:
        return longer
    last = max(asked, key=lambda one: one.until)
    also = f"; until {iso(math.ceil(last.until))}, also: {last.because}"
    return Pause(longer.until, _ALSO.sub("", longer.because) + also)


def remembered(pause: Pause) -> Pause | None:
    """Return the shorter pause that the reason of a pause names, or None."""
    found = _ALSO.search(pause.because) if _is_refusal(pause) else None
    if found is None:
        return None
    try:
        until = datetime.fromisoformat(found["until"]).timestamp()
    except ValueError:  # a provider's own words that look like ours
        return None
    return Pause(min(until, pause.until), found["because"])


def _is_refusal(pause: Pause) -> bool:
    return pause.because.startswith(REFUSED_CREDENTIALS)
