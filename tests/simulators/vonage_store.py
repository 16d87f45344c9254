"""An object store that files are redirected to: signed addresses, each good for one answer."""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from .messages import Reply, Request, Text
from .vonage_files import Served, file_reply
from .vonage_state import Account, Switches


class Stores:
    """The files that lie behind signed addresses."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[Served, Switches, Mapping[str, Any]]] = {}
        self._lock = threading.Lock()

    def signed(self, served: Served, account: Account, faults: Mapping[str, Any]) -> str:
        """An address below the account's store; it has its signature in the query."""
        key = secrets.token_hex(8)
        with self._lock:
            self._files[key] = served, dataclasses.replace(account.switches), faults
        return f"{account.switches.store}/vonage/store/{key}?X-Amz-Signature=signature-{key}"

    def reply(self, request: Request, key: str) -> Reply:
        """The file, as a store gives it: to its signature alone, with no other credentials."""
        with self._lock:
            file = self._files.pop(key, None)
        if file is None or request.query.get("X-Amz-Signature") != f"signature-{key}":
            return Reply(403, {"Content-Type": "application/xml"}, Text(b"<Error/>"))
        if request.header("authorization") or request.header("cookie"):
            return Reply(400, {"Content-Type": "application/xml"}, Text(b"<Error/>"))
        return file_reply(request, *file)
