"""Many literal strings are found in a text as a regular expression of alternatives finds them."""

from __future__ import annotations

import random
import re

import pytest

from config.literals import Literals
from config.masking import conceal, mask, mask_foreign
from config.secrets import Secrets

#: Few letters, so that literals overlap, begin alike and lie inside each other.
LETTERS = "ab"


def words(chance: random.Random, count: int, longest: int) -> list[str]:
    """Words of every length up to the longest."""
    return ["".join(chance.choices(LETTERS, k=chance.randint(1, longest))) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 3, 64, 65, 500])
@pytest.mark.parametrize("longest", [3, 7, 8, 9, 30])
@pytest.mark.parametrize("size", [0, 1, 7, 300, 4095, 4096, 4097, 12_000])
def test_as_alternatives_find_them(count: int, longest: int, size: int) -> None:
    """The first of overlapping ones is replaced, and the longest of those that begin together."""
    chance = random.Random(f"{count} {longest} {size}")
    known = [f"c{word}" for word in words(chance, count, longest)]
    text = "".join(chance.choices([*LETTERS, "c"], weights=[4, 4, 1], k=size))
    longest_first = sorted(known, key=len, reverse=True)
    alternatives = re.compile("|".join(map(re.escape, longest_first)))
    literals = Literals(known)
    assert literals.replaced(text, "***") == alternatives.sub("***", text)
    assert literals.search(text) is (alternatives.search(text) is not None)


@pytest.mark.parametrize("at", [0, 4088, 4090, 4095, 4096, 8191, 8192])
def test_a_literal_is_found_wherever_it_stands(at: int) -> None:
    """At a text's ends, and where one stretch of it ends and the next begins."""
    known = Literals(f"secret-{n:05}-tail" for n in range(1000))
    text = f"{'x' * at}secret-00777-tail"
    assert known.search(text)
    assert known.replaced(text, "*") == f"{'x' * at}*"
    assert known.replaced(f"{text}y", "*") == f"{'x' * at}*y"
    assert not known.search(text[:-1])


def test_no_literal_stands_anywhere() -> None:
    """Without literals, and of an empty one, nothing is found."""
    for known in (Literals([]), Literals([""])):
        assert not known.search("anything")
        assert known.replaced("anything", "***") == "anything"


def test_thousands_of_secrets_are_hidden_in_every_notation() -> None:
    """As those of few accounts are: in clear, escaped, encoded, and in another case."""
    known = [f"pa/ss+{n:05}=wörd" if n % 100 == 1 else f"pa/ss+{n:05}=word" for n in range(1000)]
    many = Secrets(known)
    try:
        conceal(known)
        for n in (0, 1, 500, 998, 999):
            secret = known[n]
            few = Secrets([secret])
            for text in (
                f"said {secret} once",
                f"said {secret.upper()}",
                f"said {secret.encode().hex()}",
                f"https://there/?p={secret.replace('/', '%2F').replace('+', '%2B')}",
            ):
                assert secret not in mask(text)
                assert few.stand_in(text)
                assert many.stand_in(text)
                assert secret[:11] not in mask_foreign(text).lower()
        assert mask("nothing of that kind") == "nothing of that kind"
    finally:
        conceal([])
