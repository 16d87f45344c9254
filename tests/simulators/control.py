"""The control API over HTTP, for tests in other processes and for people with curl.

GET  /_simulator                    addresses and methods
GET  /_simulator/log                everything that happened, as JSON
POST /_simulator/<provider>/<name>  a method of the provider's control, arguments as JSON
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .log import Log
from .messages import Reply, Request, json_reply
from .provider import ProviderControl

PREFIX = "/_simulator"


class Control:
    """Answers requests below /_simulator; they do not appear in the log."""

    def __init__(self, log: Log, providers: Mapping[str, ProviderControl]) -> None:
        self._log = log
        self._providers = providers

    def answer(self, request: Request) -> Reply:
        path = request.path.removeprefix(PREFIX).strip("/")
        if request.method == "GET" and path == "log":
            return json_reply(200, list(self._log.records()))
        if request.method == "GET" and path == "":
            return json_reply(200, {name: p.addresses() for name, p in self._providers.items()})
        provider, _, method = path.partition("/")
        if request.method != "POST" or provider not in self._providers:
            return json_reply(404, {"error": f"no such control: {request.method} {path}"})
        try:
            arguments = request.json() if request.body else {}
            return json_reply(200, self.call(provider, method, arguments))
        except (TypeError, ValueError, KeyError) as error:
            return json_reply(400, {"error": f"{method}: {error}"})

    def call(self, provider: str, method: str, arguments: dict[str, Any]) -> Any:
        """Calls a control method by name; ValueError where there is none."""
        target = self._providers[provider]
        if method.startswith("_") or not hasattr(target, method):
            raise ValueError(f"no control method {method!r}")
        return getattr(target, method)(**arguments)
