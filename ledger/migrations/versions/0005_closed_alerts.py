"""Alerts that a person closed: who, and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("closed_by", sa.Text(), nullable=True))
    op.add_column("alerts", sa.Column("closed_note", sa.Text(), nullable=True))
