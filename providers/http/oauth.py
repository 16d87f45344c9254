"""The way an account gets its tokens: the grant, the token endpoint, and the meaning of a
refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from providers.errors import ProviderError

from .exchange import Answer


def _is_unauthorized(answer: Answer) -> bool:
    return answer.status == 401


@dataclass(frozen=True, repr=False)
class Login:
    """An account's way to a token.

    ``address`` is the token endpoint, ``grant`` the form of a login, and every form ends with
    ``client``. ``secrets`` seal the token and stay out of errors. ``refreshes``: a login's refresh
    token is good for the next. ``advice`` says what to check when the login is refused. ``refusal``
    and ``reason`` read an answer that refuses. ``has_ended`` returns whether an answer to a request
    means that its token has ended. ``standing`` is a token of accounts.toml, in place of all this.
    """

    address: str
    grant: Mapping[str, str]
    client: Mapping[str, str]
    secrets: tuple[str, ...]
    refreshes: bool
    advice: str
    refusal: Callable[[Answer, str], ProviderError]
    reason: Callable[[bytes], tuple[str, str | None]]
    has_ended: Callable[[Answer], bool] = _is_unauthorized
    standing: SecretStr | None = None
