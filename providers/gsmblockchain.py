"""Certified calls of gsmblockchain (seed 000): one GET that costs money, asked once.

The provider has no idempotency key, no status and no way back, and takes its credentials in the
query. So what this client knows after a call is only: nothing left, an OK, a KO, or nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from config.accounts import GsmblockchainAccount
from config.masking import mask

from .bodies import seconds_to_wait
from .deadline import Transport, within
from .errors import BadCredentials, ProviderError, Rejected, Uncertain, Unreachable
from .exchange import Answer, exchange
from .gsmblockchain_answers import NotUnderstood, Said, read

NAME = "gsmblockchain"
_PATH = "/services/sendCertifiedCallRecorder.php"
_WHAT = "certified call"
_SENDING = "http11.send_request_headers.started"
#: So much of an answer is kept as evidence, in bytes; the platform's own has some dozens.
MOST_KEPT_BYTES = 64 << 10
