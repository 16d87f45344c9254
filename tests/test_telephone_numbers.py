"""Telephone numbers: what is one of a country, and how it is written within it and from abroad."""

from __future__ import annotations

import pytest

from providers.telephone_numbers import BadNumber, e164, national


@pytest.mark.parametrize(
    ("country", "phone", "within", "abroad"),
    [
        ("ES", "660111222", "660111222", "+34660111222"),
        ("es", "660 11 12 22", "660111222", "+34660111222"),
        (" Es ", "+34 660-111.222", "660111222", "+34660111222"),
        ("ES", "0034660111222", "660111222", "+34660111222"),
        ("ES", "(912) 080\u00a0202", "912080202", "+34912080202"),
        ("PT", "912 345 678", "912345678", "+351912345678"),
        ("FR", "01 42 68 53 00", "142685300", "+33142685300"),
        ("FR", "+33 (0)1 42 68 53 00", "142685300", "+33142685300"),
        ("IT", "02 3661 8300", "0236618300", "+390236618300"),
        ("IT", "+39 02 3661 8300", "0236618300", "+390236618300"),
        ("GB", "020 7946 0018", "2079460018", "+442079460018"),
        ("JE", "07797 712345", "7797712345", "+447797712345"),
        ("US", "(212) 736-5000", "2127365000", "+12127365000"),
        ("CA", "+1 416 967 1111", "4169671111", "+14169671111"),
        ("ES", "٦٦٠١١١٢٢٢", "660111222", "+34660111222"),
    ],
)
def test_a_number_of_the_country(country: str, phone: str, within: str, abroad: str) -> None:
    """In national form, in E.164 or as dialled from abroad; a zero stays where it is part of it."""
    assert national(country, phone) == (country.strip().upper(), within)
    assert e164(country, phone) == abroad


@pytest.mark.parametrize("country", ["", "XX", "UK", "ESP", "Spain", "001", "E S", "34"])
def test_an_unknown_country(country: str) -> None:
    """It is told from a number that is wrong."""
    for read in (national, e164):
        with pytest.raises(BadNumber, match="country is unknown"):
            read(country, "660111222")


@pytest.mark.parametrize(
    ("country", "phone", "reason"),
    [
        ("ES", "+33142685300", "another country"),
        ("ES", "0033142685300", "another country"),
        ("ES", "+80012345678", "another country"),
        ("US", "+14169671111", "US has assigned"),
        ("US", "416 967 1111", "US has assigned"),
        ("CA", "+12127365000", "CA has assigned"),
        ("GB", "07797 712345", "GB has assigned"),
        ("RU", "+77012345678", "RU has assigned"),
        ("ES", "060111222", "ES has assigned"),
        ("ES", "112", "too few or too many"),
        ("ES", "66011122", "too few or too many"),
        ("ES", "6601112222", "too few or too many"),
        ("ES", "", "no|not a telephone number"),
        ("ES", "+", "not a telephone number"),
        ("ES", "6", "not a telephone number"),
        ("ES", "9" * 400, "not a telephone number"),
        ("ES", "660111222 ext. 5", "without an extension"),
        ("ES", "660111222;ext=5", "not a telephone number"),
        ("ES", "660111222#5", "not a telephone number"),
        ("ES", "tel:+34660111222", "not a telephone number"),
        ("ES", "call 660111222", "not a telephone number"),
        ("US", "1-800-FLOWERS", "not a telephone number"),
        ("ES", "660111222\n", "not a telephone number"),
        ("ES", "66011122²", "not a telephone number"),
    ],
)
def test_a_number_that_cannot_be_one_of_the_country(country: str, phone: str, reason: str) -> None:
    """Also where two countries share a calling code; the error never quotes the number."""
    for read in (national, e164):
        with pytest.raises(BadNumber, match=reason) as caught:
            read(country, phone)
        assert not any(sign.isdecimal() for sign in str(caught.value).replace("3166", ""))
        assert caught.value.__context__ is None
