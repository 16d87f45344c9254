"""Reloading accounts and webhooks in a running process, without a restart.

All settings are read and validated first. If one is wrong, nothing changes. Of valid ones only the
accounts and webhooks are adopted, with their secrets: every other setting takes a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .accounts import Account
from .masking import conceal_also
from .settings import Settings, load, settings

#: One reload at a time: a signal and a command may come together.
_reloading = threading.Lock()


@dataclass(frozen=True)
class Reloaded:
    """What a reload changed: accounts by alias, webhooks and the settings that would take a restart
    by name.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    need_restart: tuple[str, ...]
    webhooks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the whole as a sentence."""
        named = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        parts = [f"{what} {', '.join(aliases)}" for what, aliases in named if aliases]
        sentence = f"accounts reloaded: {'; '.join(parts) or 'nothing changed'}"
        if self.webhooks:
            sentence += f"; webhooks reloaded: {', '.join(self.webhooks)}"
        if self.need_restart:
            sentence += (
                f"; changed, but in effect only after a restart: {', '.join(self.need_restart)}"
            )
        return sentence


def reload_accounts(prepare: Callable[[Settings], object] | None = None) -> Reloaded:
    """Read the settings again and adopt their accounts and webhooks; return what changed.

    New secrets are hidden before any account is used, and old ones stay hidden: work that has begun
    still uses them. ``prepare`` is called with the new settings before they are adopted. Raises
    ConfigurationError; then nothing has changed.
    """
    with _reloading:
        old, fresh = settings(), load()
        conceal_also(fresh.secret_values())
        if prepare is not None:
            prepare(fresh)
        settings.adopt(fresh)
        return _compared(old, fresh)


def _compared(old: Settings, fresh: Settings) -> Reloaded:
    before: Mapping[str, Account] = old.accounts
    after: Mapping[str, Account] = fresh.accounts
    return Reloaded(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(one for one in sorted(after.keys() & before) if after[one] != before[one]),
        removed=tuple(sorted(before.keys() - after.keys())),
        webhooks=tuple(
            name
            for name in sorted(old.webhooks.keys() | fresh.webhooks)
            if old.webhooks.get(name) != fresh.webhooks.get(name)
        ),
        need_restart=tuple(
            f"EARWITNESS_{name.upper()}"
            for name in Settings.model_fields
            if name not in ("accounts", "webhooks") and getattr(old, name) != getattr(fresh, name)
        ),
    )
