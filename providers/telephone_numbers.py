"""Telephone numbers: whether a number can belong to a country, and its national and E.164 forms."""

from __future__ import annotations

import phonenumbers

#: Separators that people write between the digits. Letters are excluded: an extension cannot be
#: dialled with the number, and a word for digits differs from country to country.
_BETWEEN = "+-.()/ \u00a0"


class BadNumber(ValueError):
    """The country does not exist, or the number cannot belong to it. The message never has the
    number.
    """


class BadCountry(BadNumber):
    """The country does not exist."""


class OtherCountry(BadNumber):
    """The country and the number disagree: either may be the wrong one."""


def national(country: str, phone: str) -> tuple[str, str]:
    """Return the country as ``ES``, and the number as dialled within the country, without a prefix.

    A provider may take these two in place of E.164: es and 660111222 for +34660111222
    (docs/providers/gsmblockchain.md). A zero that belongs to the number stays, as in Italy; a trunk
    zero, as in France, is removed.

    ``country`` is an ISO 3166 alpha-2 code in any case; ``phone`` is in national form, in E.164 or
    as dialled abroad from that country. Raises BadNumber if the country is unknown or the number
    does not belong to it; OtherCountry if the number is another country's, also if two countries
    share a calling code.
    """
    region, number = _parsed(country, phone)
    return region, phonenumbers.national_significant_number(number)


def e164(country: str, phone: str) -> str:
    """Return the number as ``+34660111222``; take and raise as `national` does."""
    _, number = _parsed(country, phone)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _parsed(country: str, phone: str) -> tuple[str, phonenumbers.PhoneNumber]:
    region = country.strip().upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise BadCountry("the country is unknown: give its two-letter ISO 3166 code, such as ES")
    number = _read(region, phone)
    if number is None:
        raise BadNumber(
            "the phone is not a telephone number: give its digits, in national form or with + and "
            "the country's prefix, without an extension"
        )
    own = phonenumbers.region_code_for_number(number)
    theirs = f" ({own})" if own in phonenumbers.SUPPORTED_REGIONS else ""
    if phonenumbers.country_code_for_region(region) != number.country_code:
        raise OtherCountry(
            f"the phone belongs to another country{theirs}, not to {region}: correct one of the two"
        )
    if not phonenumbers.is_possible_number(number):
        raise BadNumber(
            f"the phone has too few or too many digits for a number of {region}: correct it"
        )
    if not phonenumbers.is_valid_number_for_region(number, region):
        sentence = f"the phone is not a number that {region} has assigned"
        if theirs:
            raise OtherCountry(
                f"{sentence}, but another country has{theirs}: correct one of the two"
            )
        raise BadNumber(f"{sentence}: correct it")
    return region, number


def _read(region: str, phone: str) -> phonenumbers.PhoneNumber | None:
    if not all(sign.isdecimal() or sign in _BETWEEN for sign in phone):
        return None
    try:
        return phonenumbers.parse(phone, region)
    except phonenumbers.NumberParseException:
        return None
