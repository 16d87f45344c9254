"""``doctor`` on the receiver of notifications: configured, reachable, and its inbox processed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx

from config.settings import Settings
from providers import registry
from providers.accounts import NotifyingAccount
from providers.http.deadline import Transport, within

from .findings import Finding, error, ok, warning

_SUBJECT = "hooks"
_SECONDS = 3.0
_START = "start it where the servers reach it: earwitness hooks"


def examined(settings: Settings) -> Iterator[Finding]:
    """Examine the receiver, if there are accounts whose servers notify us."""
    accounts = list(registry.accounts_of(settings.accounts, NotifyingAccount).values())
    if not accounts:
        return
    for account in accounts:
        yield from _configuration(account, settings)
    if settings.hooks_url is not None:
        yield _reachability(settings.hooks_url, accounts[0].provider)
    yield from _inbox(settings)


def _configuration(account: NotifyingAccount, settings: Settings) -> Iterator[Finding]:
    lacks = []
    if settings.hooks_url is None:
        lacks.append("EARWITNESS_HOOKS_URL")
    if not account.allowed_networks:
        lacks.append("the account's allowed_networks")
    if not lacks:
        return
    subject = f"account {account.alias}"
    named = " and ".join(lacks)
    if account.control == "http":
        meaning = "its recordings are started, but their files are not collected: "
        yield warning(subject, f"{meaning}without {named}", f"set {named}")
    else:
        meaning = f"no recording can be started: its control is {account.control}, "
        yield error(
            subject, f"{meaning}without {named} its notifications are missing", f"set {named}"
        )


def _reachability(url: str, provider: str) -> Finding:
    """Send a notification for an unknown account, which the receiver answers 404 in XML."""
    try:
        with (
            httpx.Client(transport=Transport(), timeout=_SECONDS, trust_env=False) as client,
            within(_SECONDS),
        ):
            answer = client.post(f"{url.rstrip('/')}/{provider}/{uuid.uuid4().hex}/notify")
    except httpx.HTTPError as failure:
        return warning(
            _SUBJECT,
            f"{url} does not answer from here ({type(failure).__name__}): if the servers cannot "
            "reach it either, no finished recording is collected and no recording is started by a "
            "document",
            _START,
        )
    kind = answer.headers.get("Content-Type", "")
    if answer.status_code == httpx.codes.NOT_FOUND and "xml" in kind:
        return ok(_SUBJECT, f"the receiver answers at {url}")
    meaning = f"something other than the receiver answers at {url} (HTTP {answer.status_code})"
    return warning(_SUBJECT, f"{meaning}: no finished recording is collected", _START)


def _inbox(settings: Settings) -> Iterator[Finding]:
    folder = settings.spool_dir / "hooks"
    try:
        names = [path.suffix for path in folder.iterdir()]
    except FileNotFoundError:
        return
    except OSError as failure:
        yield error(
            _SUBJECT,
            f"{folder} cannot be read ({failure.strerror})",
            "check its owner and permissions",
        )
        return
    if ".json" in names:
        yield _waiting(folder, names.count(".json"))
    if ".unreadable" in names:
        yield _unreadable(folder, names.count(".unreadable"))


def _waiting(folder: Path, count: int) -> Finding:
    notifications, wait, them = f"{count} notifications", "wait", "them"
    if count == 1:
        notifications, wait, them = "1 notification", "waits", "it"
    return warning(
        _SUBJECT,
        f"{notifications} in {folder} {wait} for the ledger: nothing is lost, but nothing is done "
        f"about {them} either",
        f"start the receiver on this host, which records {them}, and check that the ledger works",
    )


def _unreadable(folder: Path, count: int) -> Finding:
    advice = "look at them: each is a recording that is not collected; then remove them"
    if count == 1:
        advice = "look at it: it is a recording that is not collected; then remove it"
    meaning = f"{count} notification{'s' * (count != 1)} in {folder} could not be read"
    return warning(_SUBJECT, meaning, advice)
