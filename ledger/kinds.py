"""Every kind of job, and the additions of each kind to the engine's transactions.

`ledger/ledger.py` loads this module, so that every process that opens a ledger has all hooks, with
or without the tasks. A new kind needs an entry here in addition to its task: the engine refuses
jobs of a kind that is not registered.
"""

from __future__ import annotations

from . import (
    accounts,
    alert_rules,
    call_outcomes,
    call_statements,
    daily_quota,
    day_exports,
    quarantine,
    recording_instructions,
)
from .alert_rules import AlertRules
from .core.kinds import JobKind, register

_EXPORT = AlertRules(over=alert_rules.close_day, failure=alert_rules.export_failure)
_SHORT_ACTION = AlertRules(over=alert_rules.close_signed_in)
_VERIFICATION = AlertRules(
    over=alert_rules.close_verification, failure=alert_rules.verification_failure
)

register(
    JobKind(
        name=call_outcomes.KIND,
        withhold=quarantine.open_withheld,
        inserted=daily_quota.reserve_call,
        ended=(daily_quota.release, _SHORT_ACTION),
        sender_lost=call_outcomes.await_decision,
        died_often=call_outcomes.DIED_UNSENT,
        refuses_retry=call_outcomes.NEVER_REPEATED,
        begin_at_once=call_statements.begin,
        finds_no_pause=lambda connection, account: not accounts.is_paused(connection, account),
    ),
    JobKind(
        name="recording.start",
        opened=recording_instructions.keep_instruction,
        ended=(_SHORT_ACTION,),
    ),
    JobKind(name="recording.stop", ended=(_SHORT_ACTION,)),
    JobKind(name="recording.collect", ended=(AlertRules(failure=alert_rules.collection_failure),)),
    JobKind(name="recording.download", ended=(AlertRules(),)),
    JobKind(name="recording.delete", ended=(AlertRules(failure=alert_rules.deletion_failure),)),
    JobKind(name="export.create", ended=(_EXPORT,)),
    JobKind(name="export.retrieve", ended=(_EXPORT,)),
    JobKind(
        name="recording.batch",
        ended=(AlertRules(),),
        refuses_retry="not done: a batch is part of its export; retry the export.run instead",
    ),
    JobKind(name=day_exports.KIND, ended=(day_exports.note_end, _EXPORT)),
    JobKind(name="archive.verify", ended=(_VERIFICATION,)),
)
