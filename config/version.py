"""The program's version, as shown in manifests, receipts and ``--version``."""

from __future__ import annotations

VERSION = "0.1.0"
