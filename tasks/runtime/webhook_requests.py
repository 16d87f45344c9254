"""Signed requests to webhooks, by the Standard Webhooks convention."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx

from config.version import VERSION
from config.webhooks import signing_key
from providers.http.deadline import Transport, within

#: Below the five seconds after which another worker may try the same webhook.
DEADLINE_SECONDS = 4.0
#: Statuses that concern the receiver, not one message.
_ASKS_TO_WAIT = (429, 502, 503, 504)


class NotDelivered(Exception):
    """Why a webhook was not delivered, without its address.

    ``answered`` says that the receiver's answer concerns this message only, so that it may take the
    next one.
    """

    def __init__(self, reason: str, *, answered: bool) -> None:
        super().__init__(reason)
        self.answered = answered


def _no_more(_timestamp: str) -> Mapping[str, str]:
    return {}


def send(
    receiver: str,
    url: str,
    secret: str,
    message_id: str,
    body: bytes,
    more_headers: Callable[[str], Mapping[str, str]] = _no_more,
) -> None:
    """Send one message. Every attempt has the same id, and a timestamp and signature of its own.

    ``receiver`` describes the receiver in errors, and ``more_headers`` returns further headers for
    a timestamp. Redirects and the environment's proxies are not followed. Raises NotDelivered.
    """
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"earwitness/{VERSION}",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(signing_key(secret), message_id, timestamp, body),
        **more_headers(timestamp),
    }
    failure, answered = None, False
    try:
        with (
            within(DEADLINE_SECONDS),
            httpx.Client(
                transport=Transport(), timeout=DEADLINE_SECONDS, trust_env=False
            ) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            if not answer.is_success:
                failure = f"answered HTTP {answer.status_code}"
                answered = answer.status_code not in _ASKS_TO_WAIT
    except httpx.HTTPError as error:
        # The error's text and request hold the address, which may be a secret.
        failure = f"did not answer ({type(error).__name__})"
    if failure is not None:
        host = urlsplit(url).hostname
        raise NotDelivered(f"{receiver} {host} {failure}; will retry", answered=answered)


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the value of ``webhook-signature``: the version, and the HMAC-SHA256 over id,
    timestamp and body in Base64.
    """
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"
