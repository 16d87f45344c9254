"""What can go wrong at a provider, sorted by what may be done about it.

    ProviderError
    ├── Temporary           not done; the same call may be repeated later
    │   ├── Unreachable     no connection: the provider saw nothing of the call
    │   ├── Throttled       too many calls; repeat after `retry_after`
    │   └── NotReady        what is asked for is still being made
    ├── Uncertain           no answer, or one that cannot be understood: perhaps done
    └── Rejected            understood and refused; repeating it does not help
        ├── BadCredentials  login, token or permission: a person has to act
        ├── NotFound        there is no such thing
        └── Gone            there was such a thing, and it is no longer kept
"""

from __future__ import annotations


class ProviderError(Exception):
    """A call to a provider that did not give what was asked.

    Args:
        provider: its name in words for people, such as `vonage`.
        reason: what happened, what it means and what to do; no credential, no person's number.
    """

    def __init__(self, provider: str, reason: str) -> None:
        # All arguments go to Exception: unpickling calls the class with `args`.
        super().__init__(provider, reason)
        self.provider = provider
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Temporary(ProviderError):
    """Not done; the same call may be repeated later."""


class Unreachable(Temporary):
    """No connection came about: the provider saw nothing of the call."""


class Throttled(Temporary):
    """The provider wants fewer calls.

    Args:
        provider: its name in words for people.
        reason: as in `ProviderError`.
        retry_after: seconds that it asked to wait, None when it named none.
    """

    def __init__(self, provider: str, reason: str, retry_after: float | None) -> None:
        super().__init__(provider, reason)
        self.args = (provider, reason, retry_after)
        self.retry_after = retry_after


class NotReady(Temporary):
    """What is asked for is still being made, or cannot be told from that yet."""


class Uncertain(ProviderError):
    """The answer is missing or not understood: whether the call was carried out is not known."""


class Rejected(ProviderError):
    """The provider understood the call and refused it; repeating it does not help."""


class BadCredentials(Rejected):
    """Login, token or permission is refused: a person has to act."""


class NotFound(Rejected):
    """The provider knows no such thing."""


class Gone(Rejected):
    """The provider had it and no longer keeps it."""
