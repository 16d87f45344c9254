"""Listing: every recording once, on whatever pages the provider puts them."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from providers.errors import BadCredentials, NotFound, Rejected, Uncertain
from providers.vonage.client import Vonage

from .vonage_accounts import (
    LISTING,
    MemoryShelf,
    Provider,
    account,
    client,
    listed,
    raw,
    recording,
    shown,
)


class Pages:
    """A provider with so many recordings, as the arguments say; ``asked`` has the page numbers."""

    def __init__(
        self,
        count: int,
        *,
        first: int = 1,
        cap: int = 1000,
        totals: str | None = "right",
        beyond: Callable[[], httpx.Response] = listed,
        zero: Callable[[], httpx.Response] | None = None,
    ) -> None:
        self.count, self.first, self.cap = count, first, cap
        self.totals, self.beyond, self.zero = totals, beyond, zero
        self.asked: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        number, size = (int(request.url.params[name]) for name in ("page", "page_size"))
        self.asked.append(number)
        if number == 0 and self.zero:
            return self.zero()
        at = (max(number, self.first) - self.first) * min(size, self.cap)
        rows = [recording(n) for n in range(self.count)[at : at + min(size, self.cap)]]
        totals = {"right": self.count, "one page": len(rows)}
        told = {} if self.totals is None else {"total_items": totals[self.totals]}
        if not rows and self.count:
            return self.beyond()
        return shown({"_embedded": {"recordings": rows}, "page": number, **told})

    def client(self) -> Vonage:
        """A client that may ask for pages as often as it likes."""
        return client(*[self] * 50)


def ids(vonage: Vonage, **more: Any) -> list[str]:
    """The ids of one pass."""
    return [one.id for one in vonage.every_recording({}, **more)]


def test_sends_the_filters_as_the_vendor_wants_them() -> None:
    """Names with colons and times with their Z, escaped, beside page, page_size and order."""
    provider = Provider(listed())
    filters = {"start:gte": "2026-11-20T00:00:00Z", "caller_id": "+34 600", "duration:lte": 5}
    with Vonage(account(), MemoryShelf(), transport=provider) as vonage:
        vonage.recordings(filters, page=2, page_size=50, order="id:ASC")

    url = provider.requests[0].url
    assert url.copy_with(query=None) == LISTING
    assert b"start%3Agte=2026-11-20T00%3A00%3A00Z&caller_id=%2B34" in url.query
    assert dict(url.params) == {
        **{name: str(value) for name, value in filters.items()},
        "page": "2",
        "page_size": "50",
        "order": "id:ASC",
    }
    assert provider.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"total_items": 7, "total_pages": 3}, {"total_items": 7, "total_pages": 3}),
        ({"total_items": "7", "total_page": "3"}, {"total_items": 7, "total_pages": 3}),
        ({"page": 0, "page_size": 2}, {"page_size": 2}),
        ({"page": 1, "page_size": None, "total_items": None}, {}),
    ],
)
def test_a_page_says_what_the_provider_told(told: dict[str, Any], read: dict[str, Any]) -> None:
    """Totals under either name, or absent; the page size that was applied, not the one asked for
    (docs/providers/vonage.md, Q5).
    """
    with client(shown({"_embedded": {"recordings": []}, **told})) as vonage:
        page = vonage.recordings({}, page=1, page_size=10).result()

    assert page == {"recordings": [], "page": 1, "page_size": 10, **read}


@pytest.mark.parametrize(
    "answer",
    [
        shown({"page": 1}),
        shown({"_links": {}}),
        shown({"_embedded": None, "page": 1}),
        shown({"_embedded": {}, "page": 1}),
        shown({"_embedded": []}),
        shown({"_embedded": {"recordings": None}}),
        raw(204),
    ],
)
def test_nothing_found_may_be_said_in_many_ways(answer: httpx.Response) -> None:
    """Official tutorials guard against a missing _embedded: it means an empty list."""
    with client(answer) as vonage:
        assert vonage.recordings({}).result()["recordings"] == []


@pytest.mark.parametrize(
    "answer",
    [
        shown({"status": "IN_PROGRESS"}),
        shown({"fault": {"code": 900800}}),
        shown({"_embedded": [1]}),
        shown({"_embedded": {"recordings": {"id": 1}}}),
        shown({"_embedded": {"recordings": ["1"]}}),
        shown([]),
    ],
)
def test_what_is_no_page_is_no_empty_page(answer: httpx.Response) -> None:
    """An answer that is not understood never says that there are no recordings."""
    with client(answer) as vonage, pytest.raises(Uncertain):
        vonage.recordings({})


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
@pytest.mark.parametrize("totals", ["right", None])
@pytest.mark.parametrize("beyond", [listed, lambda: raw(404), lambda: shown({"page": 9})])
@pytest.mark.parametrize("first", [0, 1])
def test_finds_every_recording_once(
    count: int, totals: str | None, beyond: Callable[[], httpx.Response], first: int
) -> None:
    """Whatever the first page is called, however the end looks and whatever is counted."""
    pages = Pages(count, first=first, totals=totals, beyond=beyond)
    with pages.client() as vonage:
        found = ids(vonage, page_size=2)

    assert sorted(found) == [str(n) for n in range(count)]


def test_a_count_of_the_page_is_no_count_of_all() -> None:
    """A total that only counts its own page ends nothing."""
    with Pages(7, totals="one page").client() as vonage:
        assert ids(vonage, page_size=2) == [str(n) for n in range(7)]


def test_a_page_size_that_is_cut_down_loses_nothing() -> None:
    """The provider may silently give fewer on a page than were asked for."""
    pages = Pages(7, cap=3)
    with pages.client() as vonage:
        assert ids(vonage, page_size=100) == [str(n) for n in range(7)]
    assert pages.asked == [1, 2, 3, 4]


def test_the_end_is_an_empty_page_not_a_number() -> None:
    """Totals of 0 beside a recording end nothing (docs/providers/vonage.md, C15)."""
    with client(listed(recording(1)), listed(recording(2)), listed(), listed()) as vonage:
        assert ids(vonage) == ["1", "2"]


def test_a_page_of_known_recordings_ends_the_pass() -> None:
    """A provider that repeats its last page, or ignores the number, is not asked for ever."""
    page = [recording(1), recording(2), recording(2)]
    with client(listed(*page), listed(*page), listed(*page)) as vonage:
        assert ids(vonage) == ["1", "2"]


def test_recordings_that_shift_between_pages_come_once() -> None:
    """A row that moved to the next page is the same recording."""
    pages = [[recording(1), recording(2)], [recording(2), recording(3)], [], []]
    with client(*(listed(*page) for page in pages)) as vonage:
        assert ids(vonage) == ["1", "2", "3"]


@pytest.mark.parametrize("zero", [listed, lambda: raw(404), lambda: raw(400)])
def test_fewer_than_counted_is_uncertain(zero: Callable[[], httpx.Response]) -> None:
    """Page 0 is tried, whatever it is answered with; then the pass does not count as whole."""
    answers = [listed(recording(1), total_items=2), listed(total_items=0), zero()]
    with (
        client(*answers) as vonage,
        pytest.raises(Uncertain, match=r"counts 2 .+ lists 1"),
    ):
        ids(vonage)


@pytest.mark.parametrize("end", [listed, lambda: raw(404), lambda: listed(recording(1))])
def test_fewer_pages_than_counted_are_uncertain(end: Callable[[], httpx.Response]) -> None:
    """Where recordings are not counted, but pages are, a pass that ends before the last is not
    whole: the rest of a day would be missing and nobody would see it.
    """
    answers = [listed(recording(1), total_pages=3), end(), end()]
    with client(*answers) as vonage, pytest.raises(Uncertain, match=r"counts 3 pages .+ lists 1"):
        ids(vonage)


@pytest.mark.parametrize("pages", [0, 1])
def test_an_empty_list_may_count_a_page(pages: int) -> None:
    """Of nothing at all, one page or none is the same."""
    with client(*(listed(total_pages=pages) for _ in range(2))) as vonage:
        assert ids(vonage) == []


@pytest.mark.parametrize("zero", [lambda: raw(404), lambda: raw(400)])
def test_page_zero_need_not_exist(zero: Callable[[], httpx.Response]) -> None:
    """Where nothing is counted it is tried too, and may be refused."""
    pages = Pages(3, totals=None, zero=zero)
    with pages.client() as vonage:
        assert ids(vonage, page_size=2) == ["0", "1", "2"]
    assert pages.asked == [1, 2, 3, 0]


def test_page_zero_is_not_asked_for_without_need() -> None:
    """All that are counted were listed: nothing more is asked."""
    pages = Pages(3)
    with pages.client() as vonage:
        ids(vonage, page_size=2)
    assert pages.asked == [1, 2, 3]


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([raw(404), raw(404)], NotFound),
        ([raw(404), raw(400)], NotFound),
        ([listed(recording(1)), raw(400)], Rejected),
        ([listed(recording(1)), listed(), raw(403)], BadCredentials),
        ([listed(recording(1)), raw(500)], Uncertain),
    ],
)
def test_a_pass_that_breaks_off_is_no_short_list(
    answers: list[httpx.Response], kind: type[Exception]
) -> None:
    """Only a page past the end may be missing; a list without any page is no empty list."""
    with client(*answers) as vonage, pytest.raises(kind) as caught:
        ids(vonage)
    assert type(caught.value) is kind


@pytest.mark.parametrize("packed", ["gzip, gzip", "deflate,gzip"])
def test_an_answer_that_was_compressed_twice_is_not_unpacked(packed: str) -> None:
    """Thirteen KiB of them can hold sixteen GB, and a worker would die of unpacking them."""
    tracemalloc.start()
    try:
        bomb = gzip.compress(gzip.compress(bytes(32 << 20)))
        tracemalloc.reset_peak()
        with (
            client(raw(200, bomb, Content_Encoding=packed)) as vonage,
            pytest.raises(Uncertain, match="compressed more than once"),
        ):
            vonage.recordings({})
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_recordings_come_while_pages_are_read() -> None:
    """A pass holds one page at a time: the first recordings come before the second page is asked
    for.
    """
    pages = Pages(4)
    with pages.client() as vonage:
        passing = vonage.every_recording({}, page_size=2)
        assert next(passing).id == "0"
        assert pages.asked == [1]


def test_a_pass_is_in_the_order_of_start() -> None:
    """So that what is recorded meanwhile comes at the end and moves no page."""
    provider = Provider(listed(), listed())
    with Vonage(account(), MemoryShelf(), transport=provider) as vonage:
        ids(vonage)
    assert provider.requests[0].url.params["order"] == "start:ASC"
    assert provider.requests[0].url.params["page_size"] == "100"
