"""Errors of services that cannot listen at their address, with advice."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_OTHER_ADDRESS = "set {settings} to an address of this machine"


class CannotListen(OSError):
    """A service cannot listen at its address; the message says why and what to do."""


@contextmanager
def listening(what: str, address: str, settings: str) -> Iterator[None]:
    """Turn the errors of binding a socket into CannotListen.

    ``what`` names the service, ``settings`` the settings that give its ``address``.
    """
    try:
        yield
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CannotListen(
            f"{what} cannot listen on {address} ({why}), so it was not started; "
            f"{_advice(error, settings)}"
        ) from None


def _advice(error: Exception, settings: str) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            "another process listens there, perhaps an older one of the same service: stop it, or "
            f"set {settings} to another address"
        )
    if number in (errno.EACCES, errno.EPERM):
        return f"its user may not listen there: set {settings} to a port of 1024 or more"
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        return _OTHER_ADDRESS.format(settings=settings)
    return f"check {settings}"
