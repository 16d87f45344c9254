"""Secrets and numbers in what comes from outside, in whatever notation it has them."""

from __future__ import annotations

import base64
import html
import json
import logging
import quopri
import time
import unicodedata
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import quote, quote_plus

import pytest

from archive.audio.acceptance import description
from archive.problem import quoted
from config.logging import bind, configure, mask
from config.masking import HIDDEN, conceal, holds_secret, mask_foreign, mask_tree
from config.printable import printable, printable_json
from providers.vonage.recordings import sorted_out
from tasks.errors import InvalidArgument
from tasks.live.arguments import StartRecording
from tasks.runtime.arguments import parse
from worker.redis.unknown_tasks import meaning

SECRETS = ['pä/ss\\wörd%<1> q&"', "correct horse/battery+staple", "p%41ss&lt;word", "call"]


def percent(text: str) -> str:
    """The text as a part of an address."""
    return quote(text, safe="")


NOTATIONS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON with a slash escaped": lambda s: json.dumps(s).replace("/", "\\/"),
    "JSON in JSON": lambda s: json.dumps(json.dumps(s)),
    "JSON, every letter": lambda s: "".join(f"\\u{ord(letter):04x}" for letter in s),
    "percent": percent,
    "percent twice": lambda s: percent(percent(s)),
    "percent three times": lambda s: percent(percent(percent(s))),
    "a form": quote_plus,
    "percent, every byte": lambda s: "".join(f"%{byte:02x}" for byte in s.encode()),
    "percent of Latin-1": lambda s: "".join(f"%{byte:02X}" for byte in s.encode("latin-1")),
    "entities": html.escape,
    "entities twice": lambda s: html.escape(html.escape(s)),
    "decimal entities": lambda s: "".join(f"&#{ord(letter)};" for letter in s),
    "entities that do not end": lambda s: "".join(f"&#x{ord(letter):x}" for letter in s),
    "UTF-8 read as Latin-1": lambda s: s.encode().decode("latin-1"),
    "Latin-1 read as UTF-8": lambda s: s.encode("latin-1").decode("utf-8", "replace"),
    "another Unicode form": lambda s: unicodedata.normalize("NFD", s),
    "hexadecimal": lambda s: s.encode().hex(),
    "hexadecimal in capitals, apart": lambda s: s.encode().hex(" ").upper(),
    "base64": lambda s: base64.b64encode(b"us:" + s.encode() + b"\xff").decode(),
    "base64 of JSON": lambda s: base64.urlsafe_b64encode(json.dumps([s]).encode()).decode(),
    "base64 twice": lambda s: base64.b64encode(base64.b64encode(s.encode())).decode(),
    "base64 of UTF-16": lambda s: base64.b64encode(s.encode("utf-16-le")).decode(),
    "Python's bytes": lambda s: repr(s.encode()),
    "quoted-printable": lambda s: quopri.encodestring(s.encode(), quotetabs=True).decode(),
    "a list of codes": lambda s: str(list(s.encode())),
    "over several lines": "\r\n".join,
    "soft hyphens": "\u00ad".join,
    "zero width": "\u200b".join,
    "fullwidth": lambda s: "".join(
        chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in s
    ),
    "capitals": str.upper,
    "tags between letters": lambda s: "<wbr>".join(map(html.escape, s)),
    "lines of a page": lambda s: "<br />".join(map(html.escape, s)),
    "code points": lambda s: " ".join(f"U+{ord(letter):04X}" for letter in s),
    "names of XML": lambda s: "".join(f"_x{ord(letter):04X}_" for letter in s),
}


@pytest.fixture(autouse=True)
def nothing_concealed() -> Iterator[None]:
    """No secret stays concealed after a test."""
    yield
    conceal([])


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS.keys())
def test_a_secret_is_recognised_in_every_notation(
    secret: str, notation: Callable[[str], str]
) -> None:
    """And nothing of it is shown; another secret is not seen where there is none."""
    conceal([secret])
    text = f"Wrong credentials {notation(secret)}, sorry"
    assert holds_secret(text)
    shown = mask_foreign(text)
    assert shown == HIDDEN or (HIDDEN in shown and not holds_secret(shown))
    conceal(["an other secret"])
    assert not holds_secret(text)


def test_a_short_secret_cuts_no_sentence_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """Task names and our own words stay whole; what a library or a provider says is withheld."""
    configure(secrets=["call"])
    logging.getLogger("tasks.x").warning("certified call d1bf needs a decision")
    logging.getLogger("celery.x").warning("Task earwitness.certified_call.request received")
    logging.getLogger("library").warning("no such call")
    try:
        raise ValueError("this call failed")
    except ValueError:
        logging.getLogger("tasks.x").exception("it stopped")
    said = capsys.readouterr().err
    assert "certified call d1bf needs a decision" in said
    assert "earwitness.certified_call.request" in said
    assert "library: ***" in said
    assert "ValueError: ***" in said
    assert mask_foreign("your call is refused") == HIDDEN
    configure()


@pytest.mark.parametrize(
    "written",
    [
        "660/111/222",
        "660&nbsp;111&nbsp;222",
        '"660","111","222"',
        '["660", "111", "222"]',
        "660\n111\n222",
        "660%2F111%2F222",
        "660<br/>111<br/>222",
        "660|111|222",
        "660_111_222",
        "660:111:222",
        "660\\/111\\/222",
        "660\\u00a0111\\u00a0222",
        "660&#160;111&#160;222",
        "660%252F111%252F222",
        "660=20111=20222",
        "660 • 111 • 222",
        "660<span class='n1'>111</span>222",
        "660            111            222",
        "660\u00c2\u00a0111\u00c2\u00a0222",
        "\uff16\uff16\uff10\uff11\uff11\uff11\uff12\uff12\uff12",
    ],
)
def test_a_number_is_cut_whatever_separates_its_digits(written: str) -> None:
    """In a finished line and in what comes from outside."""
    for shown in (mask(f"no {written} here"), mask_foreign(f"no {written} here")):
        assert unicodedata.normalize("NFKC", shown).count("222 ") + shown.count('222"') == 1
        assert not {"660", "111", "\uff16\uff16\uff10"} & {
            shown[at : at + 3] for at in range(len(shown))
        }


@pytest.mark.parametrize("secret", ["correct horse", "qzw7"])
def test_messages_about_foreign_names_quote_no_secret(secret: str) -> None:
    """Neither a member of a ZIP, a misspelt argument, an unknown task, a content type nor a missing
    recording's id; names without one are shown.
    """
    conceal([secret])
    coded = base64.b64encode(f"u:{secret}".encode()).decode()
    for foreign in (secret, percent(secret), f"x-{coded}", secret + "y" * 5_000):
        for shown in (
            quoted(f"{foreign}.mp3"),
            quoted([foreign]),
            meaning(foreign, ["earwitness.export.run"]),
            _fault({"account": "a", "call_id": "1", foreign: 1}),
            description(b"\x00\x01\x02", f"application/{foreign}"),
            str(sorted_out([_listed(foreign), _listed(foreign, file_name="b")])[1][0].set_aside),
        ):
            assert not holds_secret(shown), shown
    assert quoted("a.mp3") == "'a.mp3'"
    assert "'wvw'" in description(b"\x00\x01\x02", "wvw")


def _fault(given: dict[str, object]) -> str:
    with pytest.raises(InvalidArgument) as caught:
        parse(StartRecording, given)
    return str(caught.value).partition("the arguments are")[0]


def _listed(identifier: str, **fields: str) -> dict[str, str]:
    return {"id": identifier[:100], "start": "2026-11-20T00:00:00Z", **fields}


def test_a_cut_name_leaves_no_beginning_of_a_secret() -> None:
    """A secret is hidden before a text is cut, so that none of it stands before the cut."""
    conceal(["correct-horse-battery"])
    name = "y" * 190 + "correct-horse-battery"
    assert "correct" not in quoted(name)
    assert "correct" not in meaning(name[100:], [])


def test_no_text_takes_long_to_read() -> None:
    """Nor is a nesting without end taken for harmless."""
    conceal(SECRETS)
    began = time.thread_time()  # other programs on the machine do not count
    for text in ("%25" * 90_000, "&amp;" * 50_000, "%" + "25" * 90_000, "YW" * 90_000):
        mask_foreign(text)
    assert time.thread_time() - began < 30
    assert mask_foreign("%" + "25" * 100 + "41") == HIDDEN


def test_a_tree_without_end_is_withheld() -> None:
    """Beneath 32 levels nothing is shown."""
    tree: list[object] = ["x"]
    for _ in range(5_000):
        tree = [tree]
    assert HIDDEN in str(mask_tree(tree, lambda _, value: value))


def test_what_cannot_be_seen_is_written_out() -> None:
    """A text can neither move a cursor nor turn its letters round, and JSON stays one line."""
    text = "a\x1b[2J\x9b\x7f\u202e\u2066\u200b\u2028\ud800\té"
    shown = printable(text)
    assert shown.isprintable()
    assert shown.endswith("é")
    line = printable_json({"message": text, text: "\U000e0001"})
    assert line.isprintable()
    assert json.loads(line) == {"message": text, text: "\U000e0001"}
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_of_the_log_obeys_nobody(
    log_format: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    """Message, arguments, bound fields, logger, exception and stack: none of them moves a cursor,
    turns letters round or begins a line of its own.
    """
    evil = "a\x1b[2J\x9b1;31m\x07\x7f\u202e\u2066\u200b\u2028\x85\r\n"
    evil += "2026-11-20T00:00:00.000Z INFO x: forged"
    configure(log_format)
    with bind(account=evil, job_id=evil):
        try:
            raise ValueError(evil)
        except ValueError:
            logging.getLogger("tasks.x").exception("it says %s", evil, stack_info=True)
        logging.getLogger(f"library{evil}").warning(evil)
        logging.getLogger("tasks.x").warning("%d", evil)
    said = capsys.readouterr().err
    assert {letter for letter in said if not letter.isprintable()} == {"\n"}
    assert "forged" in said
    assert not [line for line in said.splitlines() if line.startswith("2026-11-20T00:00:00.000Z")]
    configure()


@pytest.mark.parametrize(
    "name",
    [
        *("token", "access_token", "idToken", "accessRequestToken", "client_secret"),
        *("clientSecret", "secret", "password", "Passwd", "PASSWORT", "pwd", "pass"),
        *("api_key", "apiKey"),
    ],
)
@pytest.mark.parametrize("around", ["", "é "], ids=["ASCII", "beyond ASCII"])
@pytest.mark.parametrize(
    "notation", ["{}=hunter", "{}%3Dhunter", '{{"{}": "hunter"}}', "<{}>hunter</x>"]
)
def test_what_stands_behind_the_name_of_a_credential(name: str, around: str, notation: str) -> None:
    """It is masked whatever its value, for every name and notation, alone in its line."""
    assert "hunter" not in mask(around + notation.format(name))


@pytest.mark.parametrize("around", ["", "é "], ids=["ASCII", "beyond ASCII"])
@pytest.mark.parametrize(
    "line",
    ["AUTHORIZATION: Basic hunter", "authorisation=hunter", "Bearer hunter", "x bearer%20hunter"],
)
def test_credentials_of_a_header(line: str, around: str) -> None:
    """They are masked in any case of letters."""
    assert "hunter" not in mask(around + line)
