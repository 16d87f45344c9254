"""Every kind of job, and what each adds to the engine's transactions.

`ledger/ledger.py` loads this module, so that whoever opens a ledger has all of the hooks, with the
tasks or without them.
"""

from __future__ import annotations

from . import (
    alert_rules,
    call_outcomes,
    daily_quota,
    day_exports,
    quarantine,
    recording_instructions,
)
from .alert_rules import AlertRules
from .core.kinds import JobKind, register

_EXPORT = AlertRules(over=alert_rules.close_day, failure=alert_rules.export_failure)
_SHORT_ACTION = AlertRules(over=alert_rules.close_signed_in)

CERTIFIED_CALL = JobKind(
    name=call_outcomes.KIND,
    withhold=quarantine.open_withheld,
    inserted=daily_quota.reserve_call,
    ended=(daily_quota.release, _SHORT_ACTION),
    sender_lost=call_outcomes.undecided,
    died_often=call_outcomes.DIED_UNSENT,
    refuses_retry=call_outcomes.NEVER_REPEATED,
)
RECORDING_START = JobKind(
    name="recording.start",
    opened=recording_instructions.keep_instruction,
    ended=(_SHORT_ACTION,),
)
RECORDING_STOP = JobKind(name="recording.stop", ended=(_SHORT_ACTION,))
RECORDING_COLLECT = JobKind(
    name="recording.collect", ended=(AlertRules(failure=alert_rules.collection_failure),)
)
RECORDING_DOWNLOAD = JobKind(name="recording.download", ended=(AlertRules(),))
RECORDING_DELETE = JobKind(
    name="recording.delete", ended=(AlertRules(failure=alert_rules.deletion_failure),)
)
EXPORT_CREATE = JobKind(name="export.create", ended=(_EXPORT,))
EXPORT_RETRIEVE = JobKind(name="export.retrieve", ended=(_EXPORT,))
EXPORT_RUN = JobKind(name=day_exports.KIND, ended=(day_exports.note_end, _EXPORT))
ARCHIVE_VERIFY = JobKind(
    name="archive.verify",
    ended=(
        AlertRules(over=alert_rules.close_verification, failure=alert_rules.verification_failure),
    ),
)

register(
    CERTIFIED_CALL,
    RECORDING_START,
    RECORDING_STOP,
    RECORDING_COLLECT,
    RECORDING_DOWNLOAD,
    RECORDING_DELETE,
    EXPORT_CREATE,
    EXPORT_RETRIEVE,
    EXPORT_RUN,
    ARCHIVE_VERIFY,
)
