"""A later release of ours, whose ledger has one more migration."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from config.settings import ROOT
from ledger.identity import newest_version

THIS = newest_version()
NEXT = f"{int(THIS) + 1:04}"

_NEXT = '''"""A change that a later release makes."""

import sqlalchemy as sa
from alembic import op

revision = "{next}"
down_revision = "{this}"


def upgrade():
    op.add_column("accounts", sa.Column("nickname", sa.Text()))
    {then}
'''


def later_release(folder: Path, then: str = "pass") -> Path:
    """The ledger of a later release: this one and a further migration."""
    for part in ("config", "ledger"):
        shutil.copytree(ROOT / part, folder / part)
    text = _NEXT.format(then=then, this=THIS, next=NEXT)
    (folder / f"ledger/migrations/versions/{NEXT}_next.py").write_text(text)
    return folder


def run_in(release: Path, url: str, act: str) -> str:
    """What a program of this release prints, its last line if it fails."""
    program = f"from ledger.ledger import Ledger; print(Ledger({url!r}).identity.{act}())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=release, capture_output=True, text=True, check=False
    )
    return (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()[-1]
