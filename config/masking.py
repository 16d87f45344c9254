"""What no log may show: credentials, and telephone numbers but for their last three digits.

What comes from outside (a provider's text, an exception of somebody else's) goes through
`mask_foreign` where it enters: there every secret is looked for, in every notation. A long one is
cut out where it stands as it is; else the text is withheld as a whole. Finished lines go through
`mask`, a last net that knows only the secrets which are too long to be a word of ours: a short one
that was cut out of our own sentences would be given away by the gap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from functools import lru_cache
from typing import Any

from .notations import TooDeep, decoded
from .numbers import HIDDEN, cut
from .secrets import LONG, Secrets

__all__ = [
    "HIDDEN",
    "conceal",
    "decode_foreign",
    "hide_secrets",
    "holds_secret",
    "is_ours",
    "mask",
    "mask_field",
    "mask_foreign",
    "mask_message",
    "mask_tree",
    "masked_error",
    "without",
]

_HEADER = re.compile(
    r"""(?i)(authori[sz]ation\\?["']?\s*[:=,]\s*(?:b(?=["']))?\\?["']?)(?:(?:bearer|basic|digest)\s+)?[^\s"',;\\]+"""
)
_BEARER = re.compile(r"(?i)\b(bearer(?:\s+|%20|\+))[A-Za-z0-9._~+/=-]+")
_KEY = (
    r"(?i)(?<![a-z])((?:access|refresh|id)?_?token|accessRequestToken|client_?secret|secret|"
    r"password|passwd|passwort|pwd|pass|api_?key)"
)
_ASSIGNED = re.compile(_KEY + r"""(=|%3D)(?:"[^"]*"|'[^']*'|["']?[^\s&"'<>;]+)""")
_QUOTED = re.compile(
    _KEY + r"""(\\?["']\s*:\s*)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\"[^"]*"|[^\s,}]+)"""
)
_ELEMENT = re.compile(_KEY + r"(>)[^<]*")
#: Each with characters of which every match has one.
_ASSIGNMENTS = ((_ASSIGNED, ("=", "%3")), (_QUOTED, (":",)), (_ELEMENT, (">",)))
#: The address under which a recording's end may be told; whoever knows it may tell it.
_COMPLETED = re.compile(r"(/completed/)[A-Za-z0-9_-]{43}")
_USERINFO = re.compile(r"""(://)[^\s/?#"'<>]*@""")

#: Exceptions of these are made of our own sentences and of what was masked where it entered.
_OUR_PACKAGES = frozenset({"archive", "config", "ledger", "providers", "tasks", "worker"})
_MOST_NESTED = 32


class _Concealed:
    """The secrets of this process: all, and those that the last net holds."""

    every = Secrets(())
    long = Secrets(())


def conceal(secrets: Iterable[str]) -> None:
    """From now on hide these, in place of those that were hidden before.

    Args:
        secrets: passwords, tokens and client secrets as they are; empty ones are left out.
    """
    known = list(secrets)
    _Concealed.every = Secrets(known)
    _Concealed.long = Secrets(secret for secret in known if len(secret) >= LONG)
    mask_field.cache_clear()


def holds_secret(text: str | bytes, more: Iterable[str] = ()) -> bool:
    """Whether the text spells out a concealed secret, or one of ``more``, in any notation."""
    return _Concealed.every.stand_in(text) or Secrets(more).stand_in(text)


def without(text: str, values: Iterable[str]) -> str:
    """The text without these values; withheld as a whole where one stands in it in a notation of
    which it cannot be cut.

    Args:
        text: what may quote them, such as a provider's error.
        values: what was sent and is not to be shown; empty ones are left out.
    """
    hidden = Secrets(values)
    clean = hidden.replaced(text, HIDDEN)
    return HIDDEN if hidden.stand_in(clean) else clean


def mask(text: str) -> str:
    """A finished line without credentials, its long numbers cut to their last three digits."""
    text = _Concealed.long.replaced(text, HIDDEN)
    if _Concealed.long.stand_in(text):
        return HIDDEN
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    for pattern, marks in _ASSIGNMENTS:
        if any(mark in text for mark in marks):  # far cheaper than the pattern
            text = pattern.sub(rf"\1\2{HIDDEN}", text)
    text = _COMPLETED.sub(rf"\1{HIDDEN}", text)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    return cut(text)


@lru_cache(maxsize=4096)
def mask_field(text: str) -> str:
    """As `mask`, for a short text that many lines have, such as an id."""
    return mask(text)


def mask_message(text: str) -> str:
    """A message of a library or of an exception of somebody else's, masked: a long secret is cut
    out, and where another stands in it, or one in another notation, the message is withheld.
    """
    return mask(hide_secrets(text))


def hide_secrets(text: str) -> str:
    """A text from outside without secrets, as `mask_message` leaves them out; its numbers stay, as
    those of an id must, by which something is asked for.
    """
    clean = _Concealed.long.replaced(text, HIDDEN)
    return HIDDEN if holds_secret(clean) else clean


def decode_foreign(text: str) -> str:
    """A text from outside, such as a field of an answer, decoded and without secrets as
    `mask_message` leaves them out; its numbers are still whole.
    """
    try:
        return decoded(hide_secrets(text))
    except TooDeep:
        return HIDDEN


def mask_foreign(text: str) -> str:
    """A text from outside, decoded and masked."""
    return mask(decode_foreign(text))


def is_ours(kind: type) -> bool:
    """Whether this kind of exception is one of ours."""
    return kind.__module__.partition(".")[0] in _OUR_PACKAGES


def masked_error(error: BaseException) -> str:
    """An exception's kind and message, as a log or a job's reason may have them."""
    kind, message = type(error), str(error)
    shown = mask(message) if is_ours(kind) else mask_message(message)
    return f"{kind.__name__}: {shown}"


def mask_tree(
    value: Any,
    leaf: Callable[[str, Any], Any],
    *,
    name: str = "",
    whole: Container[str] = (),
    key: Callable[[str], str] = mask,
    depth: int = _MOST_NESTED,
) -> Any:
    """A value of JSON with every value in it masked; tuples become lists.

    Args:
        value: what may hold lists and mappings; beneath 32 levels it is withheld.
        leaf: masks a value, given the name under which it stands; an element of a list stands
            under the name of its list.
        name: the name of ``value`` itself.
        whole: the names of which `leaf` takes the value as it is, lists and mappings too.
        key: masks the names.
        depth: how many levels are still masked.
    """
    if depth < 0:
        return HIDDEN
    if name not in whole:
        if isinstance(value, Mapping):
            return {
                key(str(inner)): mask_tree(
                    value[inner], leaf, name=str(inner), whole=whole, key=key, depth=depth - 1
                )
                for inner in value
            }
        if isinstance(value, list | tuple):
            return [
                mask_tree(inner, leaf, name=name, whole=whole, key=key, depth=depth - 1)
                for inner in value
            ]
    return leaf(name, value)
