"""Earwitness for Django: a row for each job, sent after the commit and followed to its end.

INSTALLED_APPS += ["earwitness_client.django"]
EARWITNESS = {"URL": "redis://127.0.0.1:6379/0", "NOTIFY_QUEUE": "shop"}
"""

from .clients import get_async_client, get_client
from .sending import asend, send_on_commit

__all__ = ["asend", "get_async_client", "get_client", "send_on_commit"]
