"""The heads of the chains as metrics show them: the length at once, a new head now and then."""

from __future__ import annotations

from archive.chain import Head
from tasks.archive_watch.chain_heads import SHOWN_SECONDS, Heads


def shown(heads: Heads) -> list[tuple[str, int, str]]:
    """What is shown of each chain: the account, how many entries, the head."""
    return [(one.published.account, one.entries, one.published.sha256) for one in heads.chains()]


def test_a_head_is_shown_for_ten_minutes() -> None:
    """The number of entries is always the newest; the head, a time series of its own each time,
    changes every ten minutes at most, for each account by itself.
    """
    seconds = [0.0]
    heads = Heads(lambda: seconds[0])
    for n in range(1, 50):
        heads.record(Head("india", n, f"sum {n}"))
    assert shown(heads) == [("india", 49, "sum 1")]

    seconds[0] = SHOWN_SECONDS
    heads.record(Head("india", 50, "sum 50"))
    heads.record(Head("india", 51, "sum 51"))
    heads.record(Head("branch", 1, "sum 1"))
    assert shown(heads) == [("branch", 1, "sum 1"), ("india", 51, "sum 50")]


def test_a_chain_that_became_shorter_is_shown_as_it_is() -> None:
    """Nothing is made to look longer than it is, and no head is shown that is there no more."""
    heads = Heads()
    heads.record(Head("india", 7, "sum 7"))
    heads.record(Head("india", 5, "another"))
    assert shown(heads) == [("india", 5, "another")]
