"""The tables of the ledger. Times are seconds since 1970 by the database's own clock."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()


class _Words(TypeDecorator[str]):
    """Text from people and providers. Characters that no database accepts (NUL, lone surrogates)
    are replaced, since a job must be able to end with any reason.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:  # noqa: ARG002
        """Return the text in a form that can be stored."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


#: None is SQL's NULL, never the JSON text "null".
_JSON = JSON(none_as_null=True)

#: SQLite counts rows only in an INTEGER primary key.
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")

ledger = Table(
    "ledger",
    metadata,
    Column("identity", String(36), primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("quarantined", Boolean, nullable=False),
    Column("archive_checked_at", Double),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("account", String(40), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("parameters", _JSON, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("fingerprint_version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", _Words),
    Column("error", _JSON),
    Column("result", _JSON),
    Column("work", _JSON, nullable=False),
    Column("transfer", _JSON),
    Column("attempts", Integer, nullable=False),
    Column("takeovers", Integer, nullable=False),
    Column("queue", String(64), nullable=False),
    Column("next_attempt_at", Double),
    Column("not_after", Double),
    Column("lease_token", String(36)),
    Column("lease_until", Double),
    Column("cancel_requested", Boolean, nullable=False),
    Column("parent_id", String(36), ForeignKey("jobs.job_id")),
    Column("open_parts", Integer, nullable=False),
    Column("hint_no", BigInteger, nullable=False),
    Column("hinted_at", Double),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("account", "kind", "request_id", name="uq_jobs_request"),
)
Index("ix_jobs_due", jobs.c.state, jobs.c.queue, jobs.c.next_attempt_at)
Index("ix_jobs_parent", jobs.c.parent_id)
Index("ix_jobs_task", jobs.c.task_id)
Index("ix_jobs_updated", jobs.c.updated_at)
Index("ix_jobs_request", jobs.c.request_id)
Index("ix_jobs_kind", jobs.c.kind, jobs.c.updated_at)

audit = Table(
    "audit",
    metadata,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("job_id", String(36), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("from_state", String(16)),
    Column("to_state", String(16), nullable=False),
    Column("by", _Words, nullable=False),
    Column("why", _Words, nullable=False),
)

waiters = Table(
    "waiters",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("job_id", String(36), ForeignKey("jobs.job_id"), nullable=False, index=True),
    Column("notify", _JSON),
    Column("asked_at", Double, nullable=False),
    Column("due_at", Double),
    Column("attempts", Integer, nullable=False),
    Column("answered_at", Double),
    # What the task's message carried; emptied once the task is answered.
    Column("envelope", _JSON),
    Column("canvas", _JSON),
)
Index("ix_waiters_due", waiters.c.answered_at, waiters.c.due_at)

obligations = Table(
    "obligations",
    metadata,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("job_id", String(36), nullable=False, index=True),
    Column("account", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("payload", _JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", _Words),
    Column("discharged_at", Double),
)
Index("ix_obligations_due", obligations.c.discharged_at, obligations.c.due_at)

#: The alerts. Each cause is one row, which opens, repeats, closes and may open again. The columns
#: for who closed it and why are set only while it is closed, and not if it ended by itself.
alerts = Table(
    "alerts",
    metadata,
    Column("cause", Text, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("account", String(40), nullable=False),
    Column("job_id", String(36)),
    Column("message", _Words, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("repeated", Integer, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("closed_by", _Words),
    Column("closed_note", _Words),
)
Index("ix_alerts_open", alerts.c.closed_at, alerts.c.kind)

calls = Table(
    "calls",
    metadata,
    Column("job_id", String(36), ForeignKey("jobs.job_id"), primary_key=True),
    Column("reserved_on", Date),
    Column("sent_at", Double),
    Column("answered_at", Double),
    Column("outcome", String(16)),
    Column("http_status", Integer),
    Column("answer", LargeBinary),
    Column("platform_phone", _Words),
    Column("error_message", _Words),
    Column("receipts", Integer, nullable=False),
)

call_days = Table(
    "call_days",
    metadata,
    Column("account", String(40), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("calls", Integer, nullable=False),
)

instructions = Table(
    "instructions",
    metadata,
    Column("token", String(64), primary_key=True),
    Column("job_id", String(36), ForeignKey("jobs.job_id"), nullable=False),
    Column("collect_job_id", String(36), ForeignKey("jobs.job_id")),
    Column("account", String(40), nullable=False),
    Column("call_id", _Words, nullable=False),
    Column("control", String(32), nullable=False),
    Column("parameters", _JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("record_url", _Words),
    Column("created_at", Double, nullable=False),
    Column("answered_at", Double),
    Column("completed_at", Double),
    Column("call_gone_at", Double),
)
Index("ix_instructions_job", instructions.c.job_id, unique=True)
Index("ix_instructions_collect", instructions.c.collect_job_id)
Index("ix_instructions_call", instructions.c.account, instructions.c.call_id)
Index("ix_instructions_state", instructions.c.state)

days = Table(
    "days",
    metadata,
    Column("account", String(40), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("window_start", Double, nullable=False),
    Column("window_end", Double, nullable=False),
    Column("filters", _JSON, nullable=False),
    Column("settle_seconds", Integer, nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("job_id", String(36)),
    Column("manifest", Text),
    Column("counts", _JSON),
    Column("planned_on", Date),
    Column("completed_by", String(36)),
    Column("listings", Integer, nullable=False),
    Column("deleted_at", Double),
    # The paths of the day's files that were found missing.
    Column("lost", _JSON),
)
Index("ix_days_state", days.c.state)

#: The newest entry of each account's chain, as this ledger last extended or saw it.
chain_heads = Table(
    "chain_heads",
    metadata,
    Column("account", String(40), primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("noted_at", Double, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("alias", String(40), primary_key=True),
    Column("token", LargeBinary),
    Column("token_version", Integer, nullable=False),
    Column("renewal", String(36)),
    Column("renewal_until", Double),
    Column("postponed_until", Double),
    Column("postponed_because", _Words),
    Column("next_request_at", Double),
    # What was learned of the provider; what a release before migration 0004 left in it is ignored.
    Column("alerted", String(64), key="learned"),
)

queues = Table(
    "queues",
    metadata,
    Column("queue", String(64), primary_key=True),
    Column("last_no", BigInteger, nullable=False),
    Column("taken_no", BigInteger, nullable=False),
)
