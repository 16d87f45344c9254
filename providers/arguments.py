"""The check for a caller's arguments that a provider would ignore."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from config.accounts import Account

from .errors import WrongField


def refuse_ignored(account: Account, given: Mapping[str, object], taken: Collection[str]) -> None:
    """Refuse arguments that the account's provider would ignore.

    Parameters: ``account``; ``given``, the caller's arguments by name, without omitted ones;
    ``taken``, the names that the provider takes. Raises WrongField.
    """
    for name in given:
        if name not in taken:
            raise WrongField(
                name,
                f"account {account.alias!r} is at {account.provider}, which ignores it; remove it",
            )
