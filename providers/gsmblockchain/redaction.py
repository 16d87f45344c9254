"""The parts of the platform's answer that a receipt may keep, since receipts are handed to
others.
"""

from __future__ import annotations

import re
from functools import lru_cache

from config.masking import HIDDEN
from config.secrets import LONG, Secrets

from .account import GsmblockchainAccount

#: The words of the platform's own format, see answers.py.
_FORMAT = re.compile(r"(?i)\b(?:status|phone|errormessage)\b(?=[\"“”\s]*:)|\b(?:OK|KO)\b")


def kept_answer(account: GsmblockchainAccount, answer: bytes) -> bytes:
    """Return the answer as received, without a password that it repeats. A long password is cut out
    if it occurs literally; otherwise the answer is withheld as a whole. A name of the page's own
    format does not count as a repetition.
    """
    password = account.password.get_secret_value()
    hidden = _search_for(password)
    text = answer.decode("utf-8", "surrogateescape")
    clean = hidden.removed(text, HIDDEN) if len(password) >= LONG else text
    values = _FORMAT.sub("\n", clean).encode("utf-8", "surrogateescape")
    if hidden.stand_in(values):
        return HIDDEN.encode()
    return answer if clean == text else clean.encode("utf-8", "surrogateescape")


def kept_field(account: GsmblockchainAccount, text: str | None) -> str | None:
    """Return a field of the answer as received, numbers included, unless it spells out a secret."""
    hidden = _search_for(account.password.get_secret_value())
    return HIDDEN if text and hidden.stand_in(text) else text


@lru_cache(maxsize=1024)
def _search_for(password: str) -> Secrets:
    """Return the search for a password. To prepare it costs more than an answer's search."""
    return Secrets([password])
