"""Webhooks that the settings define, which requests may name, and the convention's secrets.

EARWITNESS_WEBHOOKS__ORDERS__URL and EARWITNESS_WEBHOOKS__ORDERS__SECRET define the webhook
``orders``. Its secret is one of the Standard Webhooks convention.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from .fields import FROZEN, THAWED, FrozenTable, SecretAddress

PREFIX = "whsec_"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NAME_LENGTH = 40
#: The lengths of a key that the convention allows, in bytes.
_LEAST, _MOST = 24, 64
_HOW = "make one with: echo whsec_$(openssl rand -base64 32)"


def signing_key(secret: str) -> bytes:
    """Return the key that a secret stands for: its Base64 after ``whsec_``, else its own bytes.

    Raises ValueError if what follows ``whsec_`` is not Base64.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    encoded = secret.removeprefix(PREFIX)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raise ValueError(f"is not Base64 after {PREFIX}; {_HOW}") from None


def _secret(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not value.startswith(PREFIX):
        raise ValueError(f"does not begin with {PREFIX}; {_HOW}")
    if not _LEAST <= len(signing_key(value)) <= _MOST:
        raise ValueError(f"does not hold {_LEAST} to {_MOST} bytes; {_HOW}")
    return secret


def _alert_secret(secret: SecretStr) -> SecretStr:
    if not signing_key(secret.get_secret_value()).strip():
        raise ValueError("is empty; give the secret")
    return secret


def _named(webhooks: Mapping[str, Webhook]) -> Mapping[str, Webhook]:
    for name in webhooks:
        if not NAME.fullmatch(name) or len(name) > NAME_LENGTH:
            raise ValueError(
                f"has the name {name!r}; use letters, digits and single underscores, a letter "
                f"first and {NAME_LENGTH} characters at most"
            )
    return webhooks


WebhookSecret = Annotated[SecretStr, AfterValidator(_secret)]
AlertSecret = Annotated[SecretStr, AfterValidator(_alert_secret)]


class Webhook(FrozenTable):
    """A receiver of notifications: its address, and the secret that they are signed with."""

    url: SecretAddress
    secret: WebhookSecret


Webhooks = Annotated[Mapping[str, Webhook], FROZEN, THAWED, AfterValidator(_named)]
