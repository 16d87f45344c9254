"""Sends an Ozeki server's notifications: forms by POST, and what is answered is carried out."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from .faults import NOTIFICATION_KINDS, Rules
from .ozeki_pbx import Pbx
from .ozeki_state import Notice

SECONDS = 10.0
MOST_BYTES = 1 << 20
KINDS = NOTIFICATION_KINDS.keys() - {"early"}  # that one is met when the recording is asked for
HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Cache-Control": "no-store,no-cache",
    "Pragma": "no-cache",
    "Connection": "close",
}


class Notifier:
    """Sends what is in servers' outboxes; once each, as the vendor documents no second try."""

    def __init__(self, rules: Rules, note: Callable[..., None]) -> None:
        self._rules = rules
        self._note = note

    def deliver(self, pbx: Pbx) -> None:
        """Sends all that is due, answers' effects included; returns when it is answered, but for
        what a fault delays.
        """
        while pbx.outbox:
            notice = pbx.outbox.popleft()
            met = self._rules.take((notice.name,), pbx.name, KINDS)
            if "lost" in met:
                self._note(pbx.name, "notification_lost", notification=notice.name)
            elif "delayed" in met:
                seconds = float(met["delayed"]["seconds"])
                late = threading.Timer(seconds, self._send, (pbx, notice, met))
                late.daemon = True
                late.start()
            else:
                self._send(pbx, notice, met)

    def _send(self, pbx: Pbx, notice: Notice, met: Mapping[str, Mapping[str, Any]]) -> None:
        url, fields = _misdirected(notice, met)
        for _ in range(int(met["repeat"]["count"]) if "repeat" in met else 1):
            status, answer, error = post(url, fields)
            self._note(
                pbx.name,
                "notification_sent",
                notification=notice.name,
                call_id=notice.call_id,
                url=url,
                fields={name: value[:200] for name, value in fields.items()},
                status=status,
                answer=answer.decode("utf-8", "replace"),
                error=error,
                faults=list(met),
            )
            if status == 200:
                pbx.answered(notice, answer)
        if "delayed" in met:
            self.deliver(pbx)


def _misdirected(
    notice: Notice, met: Mapping[str, Mapping[str, Any]]
) -> tuple[str, dict[str, str]]:
    """Address and form, as the faults that a notification meets make them."""
    url = notice.url
    fields = {"NotificationName": notice.name, **notice.fields}
    if "foreign_host" in met and "RecordURL" in fields:
        parts = urlsplit(fields["RecordURL"])
        fields["RecordURL"] = parts._replace(netloc=met["foreign_host"]["host"]).geturl()
    if "wrong_token" in met:
        parts = urlsplit(url)
        path = parts.path.rpartition("/")[0] + "/" + met["wrong_token"]["token"]
        url = parts._replace(path=path).geturl()
    if "huge" in met:
        fields["Padding"] = "x" * int(met["huge"]["bytes"])
    return url, fields


def post(url: str, fields: Mapping[str, str]) -> tuple[int | None, bytes, str | None]:
    """Status and body of the answer, or what went wrong; no redirects, no proxies."""
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, urlencode(fields).encode(), HEADERS)
            response = connection.getresponse()
            return response.status, response.read(MOST_BYTES), None
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return None, b"", type(error).__name__
