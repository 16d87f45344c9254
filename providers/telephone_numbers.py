"""Telephone numbers of a country: as callers write them, and as providers want them."""

from __future__ import annotations

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat


class BadNumber(ValueError):
    """No number of that country; the text says why, without the number."""


def e164(country: str, phone: str) -> str:
    """A number as ``+`` and digits, from national or international form.

    Parameters: ``country``, ISO 3166 alpha-2. Raises BadNumber.
    """
    return phonenumbers.format_number(_number(country, phone), PhoneNumberFormat.E164)


def national(country: str, phone: str) -> str:
    """The digits of a number without the country's prefix: what the country's code in another
    field makes whole again. A zero that belongs to the number stays (Italy), one that is only
    dialled inside the country goes (France). Raises BadNumber.
    """
    return phonenumbers.national_significant_number(_number(country, phone))


def _number(country: str, phone: str) -> PhoneNumber:
    region = country.upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise BadNumber(f"{country!r} is no country code (two letters, as ES or PT)")
    try:
        number = phonenumbers.parse(phone, region)
    except NumberParseException as error:
        raise BadNumber(_WHY.get(error.error_type, "is no telephone number")) from None
    if number.extension:
        raise BadNumber("has an extension, which can not be called")
    theirs = phonenumbers.region_code_for_number(number)
    if not phonenumbers.is_valid_number_for_region(number, region):
        belongs = f"; it looks like one of {theirs}" if theirs not in (None, region) else ""
        raise BadNumber(f"can not be a number of {region}{belongs}")
    return number


_WHY = {
    NumberParseException.INVALID_COUNTRY_CODE: "begins with a prefix of no country",
    NumberParseException.TOO_LONG: "is too long for a telephone number",
    NumberParseException.TOO_SHORT_AFTER_IDD: "is too short for a telephone number",
    NumberParseException.TOO_SHORT_NSN: "is too short for a telephone number",
}
