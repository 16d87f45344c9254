"""Tasks that ask a provider and open no job: they answer or fail (docs/tasks.md)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from providers.errors import BadCredentials, ProviderError, Throttled, Uncertain, Unreachable

from .alerts import credentials_accepted, credentials_refused
from .error_policy import as_job_error, rest_account

#: Three tries within half a minute.
_TRY_AGAIN_AFTER = (1.0, 4.0)
_LONGEST_PAUSE_SECONDS = 20.0

Answer = TypeVar("Answer")


class Listing:
    """The result of a task that lists: personal data for its caller only.

    Logs and events show only the number of ``what``.
    """

    def __init__(self, content: dict[str, Any], count: int, what: str) -> None:
        self._content = content
        self._count = count
        self._what = what

    def __json__(self) -> dict[str, Any]:
        return self._content

    def __repr__(self) -> str:
        return f"<{self._count} {self._what}{'s' * (self._count != 1)}>"


def ask_with_retries(alias: str, ask: Callable[[], Answer]) -> Answer:
    """Ask up to three times; wait once if the provider asks for a pause of 20 seconds or less.

    Raises what callers see (`errors`) for the client's last error.
    """
    waited = False
    tries = iter((*_TRY_AGAIN_AFTER, None))
    while True:
        try:
            found = ask()
        except Throttled as error:
            seconds = rest_account(alias, error)
            if waited or seconds > _LONGEST_PAUSE_SECONDS:
                raise as_job_error(error) from None
            waited = True
            time.sleep(seconds)
        except (Unreachable, Uncertain) as error:
            pause = next(tries)
            if pause is None:
                raise as_job_error(error) from None
            time.sleep(pause)
        except BadCredentials as error:
            credentials_refused(alias, f"account {alias}: {error}")
            raise as_job_error(error) from None
        except ProviderError as error:
            raise as_job_error(error) from None
        else:
            credentials_accepted(alias)
            return found
