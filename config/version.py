"""The program's version, as it stands in manifests, receipts and ``--version``."""

from __future__ import annotations

VERSION = "0.1.0"
