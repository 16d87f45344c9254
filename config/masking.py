"""What no log may show: credentials, and telephone numbers but for their last three digits.

Text from outside (a provider's text, a library's exception) goes through `mask_foreign` where it
enters, which looks for every secret in every notation. A long secret in clear is cut out; any other
secret withholds the whole text. Finished lines go through `mask`, a last net that knows only the
secrets that are too long to be a word of our own sentences: the gap would give away a short one.
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
    "conceal_also",
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
#: Every match of `_KEY` has one of these in it.
_KEYS = ("token", "secret", "pass", "pwd", "key")
#: The address to which a recording's end is reported; anyone who knows it may report the end.
_COMPLETED = re.compile(r"(/completed/)[A-Za-z0-9_-]{43}")
_USERINFO = re.compile(r"""(://)[^\s/?#"'<>]*@""")

#: Exceptions of these are made of our own sentences and of what was masked where it entered.
_OUR_PACKAGES = frozenset({"archive", "config", "ledger", "providers", "tasks", "worker"})
_MOST_NESTED = 32
_LONGEST_REMEMBERED = 128


class _Concealed:
    """The secrets of this process: all of them, and those that the last net knows."""

    known: tuple[str, ...] = ()
    every = Secrets(())
    long = Secrets(())


def conceal(secrets: Iterable[str]) -> None:
    """Hide these secrets from now on, instead of those hidden before.

    Args:
        secrets: passwords, tokens and client secrets in clear; empty ones are ignored.
    """
    known = tuple(dict.fromkeys(secrets))
    _Concealed.known = known
    _Concealed.every = Secrets(known)
    _Concealed.long = Secrets(secret for secret in known if len(secret) >= LONG)
    _masked_before.cache_clear()


def conceal_also(secrets: Iterable[str]) -> None:
    """Hide these secrets from now on, besides those hidden before."""
    conceal((*_Concealed.known, *secrets))


def holds_secret(text: str | bytes, more: Iterable[str] = ()) -> bool:
    """Return whether the text spells out a concealed secret, or one of ``more``, in any
    notation.
    """
    return _Concealed.every.stand_in(text) or Secrets(more).stand_in(text)


def without(text: str, values: Iterable[str]) -> str:
    """Return the text without these values, or `HIDDEN` if it contains one in a notation from
    which the value cannot be cut.

    Args:
        text: a text that may quote the values, such as a provider's error.
        values: the sent values that must not be shown; empty ones are ignored.
    """
    return Secrets(values).removed(text, HIDDEN)


def mask(text: str) -> str:
    """Return a finished line without credentials; of its long numbers only the last three digits
    remain.
    """
    text = _Concealed.long.replaced(text, HIDDEN)
    if _Concealed.long.stand_in(text):
        return HIDDEN
    text = _without_credentials(text)
    text = _COMPLETED.sub(rf"\1{HIDDEN}", text)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    return cut(text)


def _without_credentials(text: str) -> str:
    """Return the text without what stands behind the name of a credential.

    To look for parts of the names is far cheaper than the patterns. Beyond ASCII, a pattern that
    ignores case matches more letters than their lower case shows.
    """
    lower = text.lower() if text.isascii() else None
    if lower is None or "authori" in lower:
        text = _HEADER.sub(rf"\1{HIDDEN}", text)
    if lower is None or "bearer" in lower:
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    if lower is None or any(key in lower for key in _KEYS):
        for pattern, marks in _ASSIGNMENTS:
            if any(mark in text for mark in marks):
                text = pattern.sub(rf"\1\2{HIDDEN}", text)
    return text


def mask_field(text: str) -> str:
    """Mask as `mask` does, and remember the outcome: many lines have the same ids and names."""
    return _masked_before(text) if len(text) <= _LONGEST_REMEMBERED else mask(text)


@lru_cache(maxsize=4096)
def _masked_before(text: str) -> str:
    return mask(text)


def mask_message(text: str) -> str:
    """Mask the message of a library or of its exception: cut out a long secret; withhold the whole
    message if it contains any other secret, or one in another notation.
    """
    return mask(hide_secrets(text))


def hide_secrets(text: str) -> str:
    """Return a text from outside without secrets, as `mask_message` removes them. Its numbers stay,
    since an id's digits are needed for requests.
    """
    clean = _Concealed.long.replaced(text, HIDDEN)
    return HIDDEN if holds_secret(clean) else clean


def decode_foreign(text: str) -> str:
    """Return a text from outside, such as a field of an answer, decoded and without secrets, as
    `mask_message` removes them. Its numbers stay.
    """
    try:
        return decoded(hide_secrets(text))
    except TooDeep:
        return HIDDEN


def mask_foreign(text: str) -> str:
    """Return a text from outside, decoded and masked."""
    return mask(decode_foreign(text))


def is_ours(kind: type) -> bool:
    """Return whether this kind of exception is one of ours."""
    return kind.__module__.partition(".")[0] in _OUR_PACKAGES


def masked_error(error: BaseException) -> str:
    """Return an exception's kind and message, as a log or a job's reason may show them."""
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
    """Return a JSON value with every value in it masked; tuples become lists.

    Args:
        value: a value, possibly with lists and mappings; below 32 levels it is withheld.
        leaf: masks one value, given its name; an element of a list has the name of its list.
        name: the name of ``value`` itself.
        whole: the names whose values `leaf` takes whole, lists and mappings too.
        key: masks the names.
        depth: the number of further levels to mask.
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
