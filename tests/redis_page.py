"""What docs/redis.md tells an operator to type, for tests that type it."""

from __future__ import annotations

import re
import shlex

from .deployment import ROOT
from .servers import Valkey

_USER = re.compile(r"^(ACL SETUSER (\S+) .*)$", re.MULTILINE)
#: In an address it stands as %xx.
PASSWORD = "p%ss/w:rd"


def user_rules() -> dict[str, str]:
    """The page's line for each user."""
    page = (ROOT / "docs" / "redis.md").read_text()
    return {name: line for line, name in _USER.findall(page)}


def make_users(valkey: Valkey, prefix: str = "") -> set[str]:
    """Type every line of the page, with a password, and with a prefix as the page says it; the
    names of the users.
    """
    rules = user_rules()
    with valkey.client() as client:
        for line in rules.values():
            said = line.replace(">PASSWORD", f">{PASSWORD}")
            client.execute_command(*(_prefixed(word, prefix) for word in shlex.split(said)))
        client.execute_command("ACL", "LOG", "RESET")
    return set(rules)


def _prefixed(word: str, prefix: str) -> str:
    return re.sub(r"^((?:%R)?~|&)", lambda sign: sign[0] + prefix, word)


def denied(valkey: Valkey) -> set[str]:
    """What Valkey refused to whom since the users were made: user, reason and object."""
    with valkey.client() as client:
        log = client.acl_log()
    return {f"{one['username']} {one['reason']} {one['object']}" for one in log}
