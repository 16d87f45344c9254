"""Records about the archive: each chain's newest entry, and files of days that were lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "chain_heads",
        sa.Column("account", sa.String(40), primary_key=True),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("noted_at", sa.Double(), nullable=False),
    )
    op.add_column("days", sa.Column("lost", sa.JSON(), nullable=True))
    op.add_column("ledger", sa.Column("archive_checked_at", sa.Double(), nullable=True))
