"""What an answer holds of people and credentials stays out of the errors that it leads to."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from config.logging import mask
from config.masking import hide

from .errors import Uncertain

_Asked = ParamSpec("_Asked")
_Found = TypeVar("_Found")

_MOST_REASON = 300
#: No reason needs a long word with digits, which may be a token or an address that a body quotes.
_LONG_WORD = re.compile(r"\S{20,}")
_DIGIT = re.compile(r"\d")


def forgetful(read: Callable[_Asked, _Found]) -> Callable[_Asked, _Found]:
    """An answer holds telephone numbers: an error about it keeps none of the frames it was in."""

    @functools.wraps(read)
    def reading(*asked: _Asked.args, **more: _Asked.kwargs) -> _Found:
        try:
            return read(*asked, **more)
        except Uncertain as error:
            failure = Uncertain(*error.args)
        del asked, more
        raise failure

    return reading


def tellable(reason: str) -> str:
    """A reason that a body gives, in one short line without numbers and credentials."""
    # Secrets go first, whole: a password with spaces would leave its last words behind.
    without = _LONG_WORD.sub(
        lambda word: "***" if _DIGIT.search(word[0]) else word[0],
        hide(" ".join(reason.split())),
    )
    return mask(without)[:_MOST_REASON]
