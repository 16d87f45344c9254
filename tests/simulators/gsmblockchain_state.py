"""What the gsmblockchain simulator holds: accounts, their switches, and the calls it counted."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FIRST_PLATFORM_PHONE = 912080202  # of the vendor's page; each call that follows gets the next
CHOICES: dict[str, tuple[str, ...]] = {
    "answer": (
        "json",
        "json_string",
        "pseudo",
        "pseudo_string",
        "bom",
        "spaced",
        "lower_case",
        "no_phone",
    ),
    "company_id_name": ("both", "companyID", "CompanyID"),
}


@dataclass(frozen=True)
class Switches:
    """How the platform behaves where its page leaves it open.

    `answer`: the form of its answers (gsmblockchain_answers). `platform_phone`: the digits of
    every answer; None makes up another number for each call. `answer_seconds`: how long a call
    that was counted waits for its answer; one that waits already too. `company_id_name`: under
    which of the page's two spellings the tax code is read.
    """

    answer: str = "json"
    platform_phone: str | None = None
    answer_seconds: float = 0.0
    company_id_name: str = "both"

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """These with some set by name; ValueError names one that does not exist or its choices."""
        names = {one.name for one in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in names:
                raise ValueError(f"no switch {name!r}; there are {sorted(names)}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ValueError(f"{name} is one of {CHOICES[name]}, not {value!r}")
        phone = changes.get("platform_phone")
        if phone is not None and not (isinstance(phone, str) and phone.isdecimal()):
            raise ValueError(f"platform_phone is text of digits, not {phone!r}")
        return dataclasses.replace(self, **changes)


@dataclass
class Account:
    """One user of the panel."""

    username: str
    password: str
    switches: Switches


@dataclass(frozen=True)
class Wish:
    """A request that the platform accepts, as it understood it. Times in seconds."""

    country: str
    phone: str
    max_seconds: int
    company_name: str
    company_id: str


@dataclass
class Calls:
    """Every call that the platform accepted, and so would make and bill, in order."""

    _counted: list[dict[str, Any]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, account: Account, wish: Wish) -> dict[str, Any]:
        """Accepts one call; returns its facts."""
        with self._lock:
            n = next(self._numbers)
            phone = account.switches.platform_phone or str(FIRST_PLATFORM_PHONE + n - 1)
            call = {"n": n, "at": time.time(), "username": account.username}
            call |= {**vars(wish), "platform_phone": phone}
            self._counted.append(call)
            return dict(call)

    def counted(self, username: str | None = None) -> list[dict[str, Any]]:
        """The facts of all calls until now, or of one user's."""
        with self._lock:
            return [dict(c) for c in self._counted if username in (None, c["username"])]
