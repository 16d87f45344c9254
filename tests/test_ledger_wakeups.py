"""Hints: which jobs are announced, by whom, and when an announcement counts as lost."""

from __future__ import annotations

from collections.abc import Callable

from ledger.core import states
from ledger.core.schema import jobs
from ledger.core.wakeups import Hint
from ledger.ledger import Ledger

from .ledgers import QUEUE, at_once, claim_job, ended, in_processes, opened, pass_time, running

OpenLedger = Callable[..., Ledger]


def _due(ledger: Ledger, *, room: int = 50, queue_is_empty: bool = False) -> list[Hint]:
    return ledger.wakeups.due(QUEUE, room=room, queue_is_empty=queue_is_empty)


def _named(hints: list[Hint]) -> list[str]:
    return sorted(hint.task_id for hint in hints)


def _waiting(ledger: Ledger, *names: str) -> None:
    """Jobs that have been put off and are due again, none of them announced."""
    for name in names:
        _, lease = running(ledger, name, task_id=name)
        ledger.execution.postpone(lease, "not ready", seconds=0)


def test_a_due_job_is_announced_once(ledger: Ledger) -> None:
    """Under its own task name and id, with a number; not a second time."""
    _waiting(ledger, "t1")
    (hint,) = _due(ledger)
    assert (hint.kind, hint.task_id, hint.queue, hint.number) == ("export.create", "t1", QUEUE, 2)
    assert _due(ledger, queue_is_empty=True) == []


def test_the_opener_publishes_the_first_hint(ledger: Ledger) -> None:
    """A job just opened is announced by a sweeper only when that first hint is lost."""
    opened(ledger, task_id="t1")
    assert _due(ledger, queue_is_empty=True) == []
    pass_time(ledger, 31, jobs.c.hinted_at)
    assert _named(_due(ledger, queue_is_empty=True)) == ["t1"]


def test_only_due_jobs_of_the_queue_are_announced(ledger: Ledger) -> None:
    """Not what waits for later or for its parts, what runs, what has ended, or another queue's."""
    _, later = running(ledger, "later")
    ledger.execution.postpone(later, "not ready", seconds=60)
    _, parts = running(ledger, "parts")
    ledger.execution.postpone(parts, "until something happens", seconds=None)
    running(ledger, "runs")
    ended(ledger, "ended")
    _, elsewhere = running(ledger, "elsewhere", queue="other")
    ledger.execution.postpone(elsewhere, "not ready", seconds=0)
    assert _due(ledger, queue_is_empty=True) == []


def test_a_queue_is_kept_short(ledger: Ledger) -> None:
    """No more are announced than there is room for, the longest due first."""
    _waiting(ledger, "a", "b", "c")
    assert _due(ledger, room=0) == []
    assert _named(_due(ledger, room=2)) == ["a", "b"]
    assert _named(_due(ledger, room=2)) == ["c"]


def test_two_sweepers_announce_each_job_once(open_ledger: OpenLedger) -> None:
    """Sweepers at once never claim the same job, and together they claim all."""
    one, two, three = open_ledger(), open_ledger(), open_ledger()
    names = [f"t{n:02}" for n in range(30)]
    _waiting(one, *names)
    claimed = at_once(*[lambda sweeper=s: _due(sweeper) for s in (one, two, three)])
    assert _named([hint for hints in claimed for hint in hints]) == names


def _announce(ledger: Ledger, _: int) -> list[str]:
    return _named(_due(ledger))


def test_sweepers_of_several_processes_announce_each_job_once(
    ledger: Ledger, ledger_url: str
) -> None:
    """The same with processes that share nothing but the ledger."""
    names = [f"t{n:02}" for n in range(20)]
    _waiting(ledger, *names)
    claimed = in_processes(_announce, ledger_url, [1, 2, 3])
    assert sorted(name for hints in claimed for name in hints) == names


def test_a_young_hint_is_not_lost(open_ledger: OpenLedger) -> None:
    """Within the patience a hint is believed, whatever its queue looks like."""
    ledger = open_ledger(lease_seconds=3000)
    _waiting(ledger, "a")
    _due(ledger)
    pass_time(ledger, 2900, jobs.c.hinted_at)
    assert _due(ledger, queue_is_empty=True) == []


def test_an_old_hint_is_lost_when_its_queue_is_empty(ledger: Ledger) -> None:
    """Older than the patience, and nothing left in the queue: it is announced again."""
    _waiting(ledger, "a")
    _due(ledger)
    pass_time(ledger, 31, jobs.c.hinted_at)
    assert _due(ledger) == [], "its queue still holds messages, and none later was taken up"
    assert _named(_due(ledger, queue_is_empty=True)) == ["a"]
    assert _due(ledger, queue_is_empty=True) == []


def test_an_old_hint_is_lost_when_a_later_one_was_taken_up(ledger: Ledger) -> None:
    """Queues keep their order: whoever is passed by a later hint is not in it any more."""
    _waiting(ledger, "a")
    (first,) = _due(ledger)
    _waiting(ledger, "b")
    (second,) = _due(ledger)
    assert second.number > first.number
    pass_time(ledger, 31, jobs.c.hinted_at)
    assert ledger.execution.claim(second.job_id, second.number) is not None
    assert _named(_due(ledger)) == ["a"]


def test_an_earlier_hint_taken_up_says_nothing_of_later_ones(ledger: Ledger) -> None:
    """A long backlog is not announced again while it is worked off in order."""
    _waiting(ledger, "a")
    (first,) = _due(ledger)
    _waiting(ledger, "b")
    _due(ledger)
    pass_time(ledger, 31, jobs.c.hinted_at)
    ledger.execution.claim(first.job_id, first.number)
    assert _due(ledger) == []


def test_a_late_copy_of_another_queues_hint_says_nothing(ledger: Ledger) -> None:
    """A job that moved on: copies of its old hints do not make its new queue's hints look lost."""
    for n in range(5):
        opened(ledger, f"busy{n}", queue="front")
    job, lease = running(ledger, "moves", queue="front")
    ledger.execution.postpone(lease, "goes on there", seconds=0, queue=QUEUE)
    _waiting(ledger, "a")
    announced = _due(ledger)
    assert max(hint.number for hint in announced) < 6
    pass_time(ledger, 31, jobs.c.hinted_at)
    assert ledger.execution.claim(job.job_id, 6) is not None
    assert _due(ledger) == []


def test_a_hint_without_a_free_slot_is_put_back(ledger: Ledger) -> None:
    """The job is announced again a little later, and not before; a running one is left alone."""
    _waiting(ledger, "a")
    (hint,) = _due(ledger)
    ledger.wakeups.put_back(hint.job_id, seconds=5)
    assert _due(ledger, queue_is_empty=True) == []
    pass_time(ledger, 5.1, jobs.c.next_attempt_at)
    assert _named(_due(ledger)) == ["a"]
    claim_job(ledger, hint.job_id)
    ledger.wakeups.put_back(hint.job_id, seconds=5)
    assert ledger.jobs.job(hint.job_id).state == states.RUNNING


def test_nothing_is_announced_for_ever_in_vain(ledger: Ledger) -> None:
    """A job cancelled while it ran and then put off is over, not announced again and again."""
    job, lease = running(ledger, task_id="t1")
    ledger.operator_actions.cancel(job.job_id, by="operator")
    ledger.execution.postpone(lease, "not ready", seconds=0)
    assert ledger.jobs.job(job.job_id).state == states.CANCELLED
    assert _due(ledger, queue_is_empty=True) == []
