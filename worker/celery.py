"""The module in which ``celery -A worker`` looks for the application."""

from __future__ import annotations

from .app import app

__all__ = ["app"]
