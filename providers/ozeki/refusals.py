"""The meaning of Ozeki's status codes: whether the command was done, whether to try again, what to
do.

Every answer has HTTP status 200, and the codes only look like HTTP's: 304 asks for a login, 305 is
a wrong password (docs/providers/ozeki.md, "Status codes").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.errors import (
    BadCredentials,
    NotFound,
    ProviderError,
    Rejected,
    Temporary,
    Unconfirmed,
)

NAME = "ozeki"

#: The code of a success.
DONE = 200

#: The parameters of our commands, so that a refusal's message may name one and nothing else.
_PARAMETERS = ("command", "CallId", "Format", "FinishedURL", "Username", "Password")


class NoSuchCall(NotFound):
    """The server knows no call with this id: the call has ended, or has not begun yet."""


class NotUnderstood(Unconfirmed):
    """The server's answer was not understood: the command may have been done, and sending it again
    may do it twice.
    """


@dataclass(frozen=True)
class Code:
    """A status code: the vendor's name for it, the error that it is, and what to do about it."""

    name: str
    kind: type[ProviderError]
    remedy: str


_CODES = {
    300: Code("ParseError", Rejected, "the request could not be read: check base_url"),
    301: Code(
        "NotImplementedCommand", Rejected, "this server does not know the command: update it"
    ),
    302: Code("InvalidParameter", Rejected, "a parameter is missing or wrong"),
    303: Code("InappropriateCommand", Rejected, "the command cannot be used here"),
    304: Code("Authentication required", BadCredentials, "give the account username and password"),
    305: Code("Authentication failed", BadCredentials, "correct the account's password"),
    306: Code(
        "Forbidden User", BadCredentials, "allow the user to use the API in the server's ACL"
    ),
    307: Code(
        "ForbiddenAddress", Rejected, "allow this machine's address in the server's HTTP API"
    ),
    401: Code("ApiExtensionUnavailable", Temporary, "check the API extension on the server"),
    402: Code("CallConnectFailed", Temporary, "the call could not be connected"),
    501: Code("SmsDestinationNotFound", Rejected, "the message has no such destination"),
    601: Code(
        "CallNotFound", NoSuchCall, "the server does not know this call, or not yet: list the calls"
    ),
    701: Code("ConfigNotFound", Rejected, "the server has no such configuration"),
    702: Code("InvalidConfig", Rejected, "the configuration is not valid"),
    703: Code("ConfigAlreadyExists", Rejected, "the configuration already exists"),
}


def refusal(code: int, message: str, what: str) -> ProviderError:
    """Return the error of a code other than DONE; ``what`` begins the reason.

    Only a parameter's name is repeated from the server's ``message``: the message may quote the
    request, and the request holds the password. A code that no page documents is NotUnderstood.
    """
    meaning = _CODES.get(code)
    if meaning is None:
        return NotUnderstood(
            NAME,
            f"{what}: unknown, the server answered with code {code}, which its reference does not "
            "list: check the server's log",
        )
    named = next((name for name in _PARAMETERS if _quotes(message, name)), None)
    about = f" about {named}" if code == 302 and named else ""
    return meaning.kind(
        NAME, f"{what}: not done, code {code} {meaning.name}{about}; {meaning.remedy}"
    )


def _quotes(message: str, name: str) -> bool:
    return re.search(rf"(?i)parameter\s+'?{name}\b", message[:1000]) is not None
