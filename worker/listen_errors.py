"""Why a service cannot listen at its address, in a sentence that says what to do."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_ELSEWHERE = "set {settings} to an address of this machine"


class CannotListen(OSError):
    """A service cannot listen at its address; the message is a whole sentence."""


@contextmanager
def listening(what: str, address: str, settings: str) -> Iterator[None]:
    """Raise CannotListen in place of what goes wrong while ``what`` begins to listen at an address
    that ``settings`` say.
    """
    try:
        yield
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CannotListen(
            f"{what} cannot listen at {address} ({why}), so it was not started; "
            f"{_advice(error, settings)}"
        ) from None


def _advice(error: Exception, settings: str) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            "another process listens there, perhaps an older one of the same: end it, or set "
            f"{settings} to another address"
        )
    if number in (errno.EACCES, errno.EPERM):
        return f"its user may not listen there: set {settings} to a port of 1024 or more"
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        return _ELSEWHERE.format(settings=settings)
    return f"see that {settings} is right"
