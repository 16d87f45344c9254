"""Simulated providers over HTTP: for tests, for the demo, and as anyone's sandbox."""

from __future__ import annotations

from .log import Records
from .server import Simulators

__all__ = ["Records", "Simulators"]
