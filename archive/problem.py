"""What verification finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A file of the archive, by its path from the root, and in words what is wrong with it."""

    path: str
    message: str
