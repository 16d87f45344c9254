"""What a certified call leaves behind: no password, no number and no name, wherever one looks."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest

import providers
from providers.errors import ProviderError
from providers.gsmblockchain.client import (
    NAME,
    Gsmblockchain,
    Placed,
    Refused,
    RefusedCredentials,
    Unanswered,
)

from .canaries import found
from .gsmblockchain_calls import (
    COMPANY_ID,
    COMPANY_NAME,
    OK,
    PASSWORD,
    PHONE,
    USERNAME,
    Serve,
    account,
    answering,
    call,
    hanging,
    resetting,
    sending,
    serving,
)
from .overheard import listen

SECRETS = (USERNAME, PASSWORD, PHONE, COMPANY_NAME, COMPANY_ID)
QUERY = f"user={quote_plus(USERNAME)}&pass={quote_plus(PASSWORD)}&phone={PHONE}"
ECHO = (
    f"Wrong password {PASSWORD} of {USERNAME} ({quote(PASSWORD)}) for {COMPANY_NAME} {COMPANY_ID}"
)


def said(message: str) -> bytes:
    """A KO for this reason."""
    return json.dumps({"status": "KO", "errorMessage": message}).encode()


#: Each way in which a call ends, and how its server behaves.
ENDS: dict[str, Serve] = {
    "reset": resetting,
    "closed": sending(b""),
    "hangs": hanging,
    "cut": sending(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + ECHO.encode()),
    "too large": answering(ECHO.encode() * 2000),
    "echo in a KO": answering(said(ECHO)),
    "echo of the address": answering(said(f"bad call https://sms.example/x.php?{QUERY}")),
    "echo of the number": answering(said(f"cannot call +34{PHONE}")),
    "echo in an error": answering(ECHO.encode(), "500 Oops"),
    "echo as JSON in an error": answering(json.dumps({"x": [ECHO]}).encode(), "403 No"),
    "echo of JSON in a KO": answering(said(json.dumps({"x": [ECHO]}))),
    "echo as a page": answering(f"<html>{ECHO}</html>".encode(), "502 Bad"),
    "echo in a success": answering(f"Notice: {QUERY}".encode()),
    "echo in a header": answering(OK, "302 Found", f"Location: /there?{QUERY}"),
}


def frames(traced: TracebackType | None) -> Iterator[dict[str, Any]]:
    """The variables of each frame of the clients' that a traceback keeps."""
    home = Path(providers.__file__).parent
    while traced is not None:
        if home in Path(traced.tb_frame.f_code.co_filename).parents:
            yield traced.tb_frame.f_locals
        traced = traced.tb_next


def kept(error: BaseException) -> dict[str, bytes]:
    """All that an error shows: itself, its traceback, and the variables of our frames in it."""
    texts = {
        "str": str(error),
        "repr": repr(error),
        "args": repr(error.args),
        "traceback": "".join(traceback.format_exception(error)),
        **{
            f"frame {position}": repr(variables)
            for position, variables in enumerate(frames(error.__traceback__))
        },
    }
    return {place: text.encode() for place, text in texts.items()}


@pytest.mark.parametrize("serve", ENDS.values(), ids=ENDS.keys())
def test_no_end_of_a_call_shows_what_was_sent(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the error, its arguments, its traceback with the variables of our frames, nor the log,
    where nobody quietens httpx either, and whatever the provider repeats of it.
    """
    listen(caplog, logging.INFO)
    with serving(serve) as server, pytest.raises(ProviderError) as caught:
        call(account(server.url, timeout_seconds=1))
    error = caught.value

    assert len(list(frames(error.__traceback__))) == 1
    assert not found(SECRETS, {**kept(error), "log": caplog.text.encode()})
    assert error.__cause__ is None
    assert error.__context__ is None
    for variables in frames(error.__traceback__):
        assert not any(isinstance(value, httpx.Request | dict) for value in variables.values())


def test_a_number_keeps_its_last_three_digits_at_most() -> None:
    """Also one that was not sent: the platform's own."""
    with serving(answering(said("912080202 is busy"))) as server, pytest.raises(Refused) as caught:
        call(account(server.url))
    assert "***202 is busy" in str(caught.value)


def test_a_long_reason_is_cut() -> None:
    """An error is a line, not a page."""
    with serving(answering(said("so long " * 500))) as server, pytest.raises(Refused) as caught:
        call(account(server.url))
    assert len(str(caught.value)) < 500


def test_an_unreachable_provider_shows_no_address(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does the log."""
    listen(caplog, logging.DEBUG)
    with pytest.raises(ProviderError) as caught:
        call(account("http://127.0.0.1:1"))
    assert not found(SECRETS, {**kept(caught.value), "log": caplog.text.encode()})


def test_a_call_that_is_placed_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """By httpx at its most talkative, neither with the address nor with the answer."""
    listen(caplog, logging.DEBUG)
    with serving(answering()) as server:
        placed = call(account(server.url))
    assert placed.platform_phone is not None
    assert "send_request_headers" in caplog.text
    assert not found([*SECRETS, placed.platform_phone], {"log": caplog.text.encode()})


def test_what_the_hook_raises_keeps_nothing_of_ours() -> None:
    """No frame between it and the caller has the request or what was asked for."""

    def refuse() -> None:
        raise LookupError("the lease is gone")

    with serving(answering()) as server, pytest.raises(LookupError) as caught:
        call(account(server.url), refuse)
    assert not found(SECRETS, kept(caught.value))
    for variables in frames(caught.value.__traceback__):
        assert not any(isinstance(value, httpx.Request | dict) for value in variables.values())


def test_no_repr_shows_what_it_holds() -> None:
    """Neither a client's nor an answer's."""
    texts = {"client": repr(Gsmblockchain(account())), "placed": repr(Placed(PHONE, 200, OK))}
    places = {place: text.encode() for place, text in texts.items()}
    assert not found([*SECRETS, "912080202"], places)


def _pickled(error: BaseException) -> Any:
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error)
    return again


@pytest.mark.parametrize(
    "error",
    [
        Unanswered(NAME, "lost", 503, 7.0, OK),
        Unanswered(NAME, "lost"),
        Refused(NAME, "no", 200, OK),
        RefusedCredentials(NAME, "no", 200, OK),
    ],
    ids=repr,
)
@pytest.mark.parametrize("remake", [lambda e: type(e)(*e.args), _pickled])
def test_errors_can_be_made_again(error: Refused | Unanswered, remake: Callable[..., Any]) -> None:
    """As a result backend does it from the arguments, which do without the answer, and whole by
    pickle.
    """
    again = remake(error)

    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)
    assert again.http_status == error.http_status
    assert getattr(again, "retry_after", None) == getattr(error, "retry_after", None)
    assert again.answer in (error.answer, b"")
    assert OK not in again.args
