"""Masking of telephone numbers: only their last three digits remain.

Numbers are recognised by their form, so the masking errs towards hiding: seven digits or more lose
all but three, whatever characters other than letters separate them. This includes counts of bytes.
UUIDs, checksums, times, IPv4 addresses and seconds remain as they are.
"""

from __future__ import annotations

import re

_DATE = r"(?:19|20)\d\d-[01]\d-[0-3]\d"
_CLOCK = r"[0-2]\d:[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
#: Hexadecimal of a checksum's length (16: in the names of our ZIP files) that contains letters.
_CHECKSUM = "|".join(f"[0-9a-fA-F]{{{length}}}" for length in (16, 32, 40, 64, 128))
_KEPT = "|".join(
    (
        rf"(?<![0-9a-zA-Z]){_UUID}(?![0-9a-zA-Z])",
        rf"(?<![0-9a-zA-Z])(?=(?:\d*[a-fA-F]){{3}})(?:{_CHECKSUM})(?![0-9a-zA-Z])",
        rf"(?<!\d){_DATE}(?!\d)(?:[T ]{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?)?(?!\d)",
        r"(?<!\d)(?<!\d[/-])(?:19|20)\d\d/[01]\d/[0-3]\d(?!\d)",  # a day's folder
        rf"(?<![\d:.]){_CLOCK}(?![\d:])",
        r"(?<!\d)(?:19|20)\d{6}T\d{6}Z",
        r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])",
        r"(?<![\d*])\d{4}\*\d{2,4}(?![\d*])",  # an extension in a telephone system's format
        r"(?<![\d.])\d{1,6}\.\d+s\b",  # Celery's "succeeded in 0.0123456789s"
    )
)
#: Digits of any script; superscript, subscript and circled ones, too.
_DIGIT = (
    r"[\d\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c"
    r"\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792]"
)
#: One escaped character between digits: of a URL, a web page, JSON or Python, a mail, or UTF-8 that
#: was read as Latin-1 or Windows-1252.
_ESCAPED = (
    r"%(?:25){0,4}(?:[01][0-9A-Fa-f]|2[0-9A-Fa-f]|3[A-Fa-f]|[4567][0BbCcDdEeFf]|[A-Fa-f89][0-9A-Fa-f])"
    r"|&(?:amp;){0,4}(?:#[xX][0-9A-Fa-f]{1,6};|#\d{1,7};|nbsp|[A-Za-z]{2,8};)"
    r"|\\u(?:00[aA2]|20[0-9A-Fa-f])[0-9A-Fa-f]|\\x[aA2][0-9A-Fa-f]|\\[nrtfvb/]|=[2ACE][0-9A-F]"
    r"|<[^<>]{0,80}>|\u00c2[\u0080-\u00bf]|\u00e2(?:[\u0080-\u00bf]{2}|\u20ac[^\w\s])"
)
#: At most 16 characters stand between two digits of one number, as in `"660", "111", "222"`.
_GAP = rf"(?>(?:{_ESCAPED}|[\W_]){{0,16}})"
#: What every match begins with. To look for that first is far cheaper than each of the forms.
_BEGINS = rf"(?=[+a-fA-F{_DIGIT[1:-1]}])"
_NUMBERS = re.compile(
    rf"{_BEGINS}(?:(?P<kept>{_KEPT})"
    rf"|\+?{_DIGIT}(?:{_DIGIT}|(?!{_KEPT}){_GAP}(?!{_KEPT}){_DIGIT}){{6,}}+)"
)
_SEPARATOR = re.compile(_ESCAPED)

HIDDEN = "***"


def cut(text: str) -> str:
    """Cut the text's long numbers to their last three digits."""
    return _NUMBERS.sub(_last_three, text)


def _last_three(match: re.Match[str]) -> str:
    if match["kept"] is not None:
        return match[0]
    return HIDDEN + "".join(filter(str.isdigit, _SEPARATOR.sub(" ", match[0])))[-3:]
