"""The log: every line says which job it belongs to, and none shows a secret or a whole number."""

from __future__ import annotations

import base64
import json
import logging
import random
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import httpx
import pytest

from config.logging import begin_task, bind, configure, end_task, mask, of_task, received

SECRET = 'p@ss/w0rd&"+é <x>'


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Give the root logger back what it had, and forget the secrets."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:
        root.removeHandler(handler)
    yield
    configure()
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was written to standard error since the last look."""
    return lambda: capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("called 34600123456", "called ***456"),
        ("called +34600123456.", "called ***456."),
        ("called +34 600 123 456 twice", "called ***456 twice"),
        ("called +1 (555) 123-4567", "called ***567"),
        ("called (555) 123-4567", "called (***567"),
        ("called 555.123.4567", "called ***567"),
        ("called 0034-600-12-34-56", "called ***456"),
        ("06 12 34 56 78", "***678"),
        ("phone=%2B34600123456&x=1", "phone=%2B***456&x=1"),
        ("phone=34%20600%20123%20456", "phone=***456"),
        ("tel34600123456_a.mp3", "tel***456_a.mp3"),
        ("{'phone': '34600123456'}", "{'phone': '***456'}"),
        ("called 600\u202f123\u2009456", "called ***456"),
        ("called 600\u2011123\u2011456", "called ***456"),
        ("called 600\t123\t456", "called ***456"),
        ("called 555 - 123 - 4567", "called ***567"),
        ("1234567", "***567"),
        ("123456", "123456"),
        ("extension 1001 rang", "extension 1001 rang"),
        ("٣٤٦٠٠١٢٣٤٥٦", "***٤٥٦"),
    ],
)
def test_numbers_keep_three_digits(text: str, shown: str) -> None:
    """A telephone number, however it is written, is cut to its last three digits."""
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "job 5f0a7c1e-1234-5678-9abc-123456789012 waits",
        "job 12345678-1234-5678-9012-123456789012 waits",
        "attempt 3 12345678-1234-5678-9012-123456789012",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "a/b/part.12345678901abcde.zip",
        "2026-11-20T03:04:05Z",
        "2026-11-20T03:04:05.123456+05:30",
        "at 2026-11-20 03:04:05,678 and 3 2026-11-21",
        "window 2026-11-20..2026-11-21",
        "20261120T030405Z",
        "india/exports/2026/11/20/manifest.json",
        "connected to 192.168.100.200:6379",
        "succeeded in 0.0123456789012s",
        "60000 of 70000 members",
    ],
)
def test_what_is_no_number_stays(text: str) -> None:
    """UUIDs, checksums, times, dates, addresses and durations can still be read."""
    assert mask(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer SESAME",
        "authorization: Basic SESAME",
        "Authorization: SESAME",
        "{'Authorization': 'Bearer SESAME'}",
        "[(b'Authorization', b'Bearer SESAME')]",
        '{"authorization": "Bearer SESAME"}',
        "GET /x?accessRequestToken=Bearer%20SESAME",
        "GET /x?access_token=SESAME&y=1",
        "POST /ozeki/office/completed/" + "SESAME".ljust(43, "x") + " (192.0.2.1)",
        "grant_type=refresh_token&refresh_token=SESAME",
        "client_secret=SESAME&client_id=c",
        'password="a SESAME"',
        'password="SESAME',
        "https://h/sms?user=u&pass=SESAME&to=1",
        "https://h/sms?user=u&Password=SESAME",
        '{"access_token": "SESAME", "expires_in": 1}',
        "{'password': 'SESAME'}",
        r"{\"refresh_token\": \"SESAME\"}",
        "<Password>SESAME</Password>",
        "redis://:SESAME@redis:6379/0",
        "postgresql+psycopg://ledger:SESAME@db/ledger",
        "https://SESAME@h/",
    ],
)
def test_hides_credentials_it_was_never_told(text: str) -> None:
    """Tokens and passwords are known by what stands before them."""
    assert "SESAME" not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://pbx.example.com/uapi/extensions/@self",
        "a first pass: 30 of 30",
        "bypass=1",
        "token renewed",
    ],
)
def test_leaves_harmless_words(text: str) -> None:
    """What only resembles a credential stays."""
    assert mask(text) == text


def _forms(secret: str) -> list[str]:
    raw = secret.encode()
    return [
        secret,
        quote(secret),
        quote(secret, safe=""),
        re.sub("%..", lambda code: code[0].lower(), quote(secret, safe="")),
        quote_plus(secret),
        repr(secret),
        json.dumps(secret),
        *(
            base64.b64encode(prefix + raw + b":rest").decode()
            for prefix in (b"", b"u:", b"us:", b"use:")
        ),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
    ]


@pytest.mark.parametrize("form", _forms(SECRET))
def test_hides_configured_secrets_in_every_form(form: str) -> None:
    """A configured secret is hidden raw, percent-encoded, quoted and in base64, anywhere."""
    configure(secrets=[SECRET, ""])

    for text in (form, f"x{form}y", f"https://h/?q={form}&r=1"):
        shown = mask(text)
        assert form.strip("'\"") not in shown
        assert "w0rd" not in shown


def test_masks_message_arguments_exception_and_stack(logged: Callable[[], str]) -> None:
    """Nothing of a record escapes the mask: not its arguments, its traceback or its stack."""
    configure(secrets=["hunter22"])
    number = "34600123456"

    try:
        raise ValueError(f"hunter22 and {number}")
    except ValueError:
        logging.getLogger("x").exception(
            "%s for %s", "hunter22", {"phone": number}, stack_info=True, extra={"data": number}
        )

    said = logged()
    assert "Traceback" in said
    assert "***456" in said
    assert "Stack (most recent call last)" in said
    assert "hunter22" not in said
    assert number not in said


def test_masks_what_ends_a_thread(logged: Callable[[], str]) -> None:
    """It comes out as a line of the log, and not as Python prints it."""

    def ends() -> None:
        raise ValueError(SECRET + " called 34600123456")

    configure(secrets=[SECRET])
    thread = threading.Thread(target=ends, name="worker-7")
    thread.start()
    thread.join()

    shown = logged()
    assert "ERROR config.logging: the thread worker-7 ended unexpectedly" in shown
    assert "ValueError: *** called ***456" in shown
    assert SECRET not in shown


def test_masks_records_that_cannot_be_formatted(logged: Callable[[], str]) -> None:
    """Arguments that do not fit their message are shown masked, and logging raises nothing."""
    configure(secrets=["hunter22"])

    logging.getLogger("x").warning("%d of %d", "hunter22", "34600123456")

    said = logged()
    assert "%d of %d" in said
    assert "hunter22" not in said
    assert "34600123456" not in said


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_lines_name_their_job(log_format: str, logged: Callable[[], str]) -> None:
    """Fields bound around the work stand on its lines, in this thread alone, and are masked too."""
    configure(log_format)  # type: ignore[arg-type]
    log = logging.getLogger("worker")

    with bind(job_id="5f0a7c1e-1234-5678-9abc-123456789012", account="india"):
        with bind(task_id="t", account=None, note="34600123456"):
            log.info("inner")
        other = threading.Thread(target=log.info, args=("elsewhere",))
        other.start()
        other.join()
        log.info("outer")
    log.info("after")

    inner, elsewhere, outer, after = logged().splitlines()
    for part in ("5f0a7c1e-1234-5678-9abc-123456789012", "india", "task_id", "***456"):
        assert part in inner
    assert "india" not in elsewhere
    assert "india" in outer
    assert "task_id" not in outer
    assert "india" not in after


def test_a_task_s_lines_name_it_until_its_end(logged: Callable[[], str]) -> None:
    """Also those that Celery writes when our code has returned; what becomes known of the job on
    the way stands on the lines from then on. Outside a task nothing is kept.
    """
    configure("json")
    log = logging.getLogger("worker")
    of_task(job_id="lost")
    begin_task("t1", account=None)
    log.info("before")
    of_task(job_id="j1", account="india")
    with bind(job_id="j2"):
        log.info("of another job")
    log.info("after")
    end_task()
    log.info("over")
    received("t2", job_id="j3")
    for task_id in ("t2", "t3"):
        log.info("received", extra={"data": {"id": task_id, "name": "x"}})

    said = [json.loads(line) for line in logged().splitlines()]
    fields = [{k: line[k] for k in ("task_id", "job_id", "account") if k in line} for line in said]
    assert fields == [
        {"task_id": "t1"},
        {"task_id": "t1", "job_id": "j2", "account": "india"},
        {"task_id": "t1", "job_id": "j1", "account": "india"},
        {},
        {"task_id": "t2", "job_id": "j3"},
        {"task_id": "t3"},
    ]


def test_nobody_writes_lines_of_our_log(logged: Callable[[], str]) -> None:
    """A line break in a name that somebody else chose ends no line; an exception has its own."""
    configure()
    with bind(task_id="a\nb"):
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            logging.getLogger("x").exception("at %s", "c\r\nd")

    first, second, *_ = logged().splitlines()
    assert first.endswith("at c\\r\\nd [task_id=a\\nb]")
    assert second.startswith("Traceback")


def test_json_is_one_object_a_line(logged: Callable[[], str]) -> None:
    """A program can read every line, exceptions included."""
    configure("json")

    try:
        raise RuntimeError("broken\nin two")
    except RuntimeError:
        logging.getLogger("worker.app").exception("it %s", "failed")

    (line,) = logged().splitlines()
    said = json.loads(line)
    assert said["level"] == "ERROR"
    assert said["logger"] == "worker.app"
    assert said["message"] == "it failed"
    assert said["time"].endswith("Z")
    assert "RuntimeError: broken\nin two" in said["exception"]


def test_httpx_logs_no_addresses(logged: Callable[[], str]) -> None:
    """httpx's own lines, which hold whole URLs, stay out even when everything else is logged."""
    configure(level=logging.DEBUG)

    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        client.get("https://h.example/sms?user=u&pass=hunter22")
    logging.getLogger("other").debug("seen")

    assert "h.example" not in logged()


def test_configuring_twice_logs_once(logged: Callable[[], str]) -> None:
    """A second configuration replaces the first."""
    configure()
    configure()
    logging.getLogger("x").info("once")

    assert logged().count("once") == 1


def test_warnings_are_masked_too(logged: Callable[[], str]) -> None:
    """Python's warnings go through the log."""
    configure(secrets=["hunter22"])

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn_explicit("hunter22 is old", UserWarning, "f.py", 1)

    said = logged()
    assert "is old" in said
    assert "hunter22" not in said


def test_masks_long_texts_quickly() -> None:
    """A megabyte of anything is masked within seconds: no text makes the patterns explode."""
    configure(secrets=[SECRET, "hunter22"])
    long = 1_000_000
    began = time.thread_time()  # other programs on the machine do not count

    for text in (
        "1 " * (long // 2),
        "a" * long,
        "1" * long,
        "://" * (long // 3),
        '"password": "' * 70_000,
    ):
        mask(text)

    assert time.thread_time() - began < 20


@pytest.mark.soak
def test_masks_whatever_comes() -> None:
    """A hundred thousand lines with a secret and a number in random forms: none leaks."""
    chance = random.Random(20261120)
    secret = "Tr0ub4dor&3/ñ"
    configure(secrets=[secret])
    forms = _forms(secret)
    noise = "abcXYZ 0123-./:=&?\"'{}[]()%+,;@\n"

    for _ in range(100_000):
        before, after = ("".join(chance.choices(noise, k=chance.randrange(30))) for _ in range(2))
        number = "".join(chance.choices("123456789", k=chance.randrange(9, 15)))
        shown = mask(f"{before}{chance.choice(forms)}{after}{chance.choice(' =+_/(')}{number}|")

        assert "ub4dor" not in shown
        assert number not in shown


def test_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to the commands' answers."""
    configure()
    logging.getLogger("x").info("said")

    out, err = capsys.readouterr()
    assert out == ""
    assert "said" in err
    assert sys.stderr is not None
