"""Alembic's environment: it runs on the connection that the ledger hands it, in its transaction."""

from __future__ import annotations

from alembic import context

from ledger.core.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
