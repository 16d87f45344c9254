"""Instructions: what is to be recorded, and how the recording's end is reported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "instructions",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("collect_job_id", sa.String(length=36), nullable=True),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("control", sa.String(length=32), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("record_url", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("answered_at", sa.Double(), nullable=True),
        sa.Column("completed_at", sa.Double(), nullable=True),
        sa.Column("call_gone_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"]),
        sa.ForeignKeyConstraint(["collect_job_id"], ["jobs.job_id"]),
        sa.PrimaryKeyConstraint("token"),
    )
    op.create_index("ix_instructions_job", "instructions", ["job_id"], unique=True)
    op.create_index("ix_instructions_collect", "instructions", ["collect_job_id"], unique=False)
    op.create_index("ix_instructions_call", "instructions", ["account", "call_id"], unique=False)
    op.create_index("ix_instructions_state", "instructions", ["state"], unique=False)
