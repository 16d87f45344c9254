"""What the messages of waiting tasks carried besides their arguments; jobs by request id and by
kind.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("waiters", sa.Column("envelope", sa.JSON(), nullable=True))
    op.add_column("waiters", sa.Column("canvas", sa.JSON(), nullable=True))
    op.create_index("ix_jobs_request", "jobs", ["request_id"])
    op.create_index("ix_jobs_kind", "jobs", ["kind", "updated_at"])
