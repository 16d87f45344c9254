"""The door that ``celery -A worker`` looks for."""

from __future__ import annotations

from .app import app

__all__ = ["app"]
