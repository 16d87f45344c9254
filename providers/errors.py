"""Provider errors, by the answer to the one question that matters: was the request done?

ProviderError
├── Temporary          certainly not done; the same call may work later
│   ├── Unreachable    nothing was sent
│   ├── Throttled      the provider asks to wait: retry_after
│   └── NotReady       still being made
├── Uncertain          it may have been done: the answer was lost, cut, 5xx or unreadable
│   └── Unconfirmed    the provider has the request, and nothing shows its effect
└── Rejected           the provider refused
    ├── BadCredentials
    ├── NotFound
    └── Gone

Outside the tree, since no request was made: WrongField and Unsupported.
"""

from __future__ import annotations


class ProviderError(Exception):
    """Root: which provider, and the reason in words without secrets, numbers or addresses."""

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(provider, reason)
        self.provider = provider
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Temporary(ProviderError):
    """Certainly not done; the same call may work later."""


class Unreachable(Temporary):
    """The provider could not be reached: nothing was sent."""


class Throttled(Temporary):
    """The provider asks to wait, ``retry_after`` seconds if it says how long."""

    def __init__(self, provider: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(provider, reason)
        # Celery's result backend and pickle rebuild an exception from its args.
        self.args = (provider, reason, retry_after)
        self.retry_after = retry_after


class NotReady(Temporary):
    """The requested object is still being made. ``if_it_lasts`` says what else the answer may mean,
    and what to check.
    """

    def __init__(self, provider: str, reason: str, if_it_lasts: str = "") -> None:
        super().__init__(provider, reason)
        self.args = (provider, reason, if_it_lasts)
        self.if_it_lasts = if_it_lasts


class Uncertain(ProviderError):
    """The request may have been done: the answer was lost, cut off, a server error or
    unreadable.
    """


class Unconfirmed(Uncertain):
    """The provider has the request, and nothing shows its effect; the request is not sent again."""


class Rejected(ProviderError):
    """The provider refused."""


class BadCredentials(Rejected):
    """The provider refuses the account's credentials."""


class NotFound(Rejected):
    """The provider does not know the requested object."""


class Gone(Rejected):
    """The requested object existed, and no longer exists."""


class WrongField(ValueError):
    """A value that is not sent. ``field`` is its name; ``sentence`` continues after the name, and
    says what is wrong or what to give.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(field, sentence)
        self.field = field
        self.sentence = sentence

    def __str__(self) -> str:
        return f"{self.field}: {self.sentence}"


class Unsupported(Exception):
    """The account's provider cannot do the requested operation; ``able`` are the providers that
    can.
    """

    def __init__(self, alias: str, provider: str, able: tuple[str, ...]) -> None:
        super().__init__(alias, provider, able)
        self.alias = alias
        self.provider = provider
        self.able = able

    def __str__(self) -> str:
        return (
            f"account: {self.alias!r} is a {self.provider} account; this task is for "
            f"{' and '.join(self.able) or 'no registered provider'}"
        )
