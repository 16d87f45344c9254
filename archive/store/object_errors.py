"""Translation of `obstore`'s errors into the archive's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
)

from archive.errors import Damaged, Missing, StoreAway, StoreRefused

from .object_services import service_of

_STATUS = re.compile(r"status code: (\d{3})")
_NAME = re.compile(r'[Pp]ath "([^"]+)"')
_CODE = re.compile(r"<Code>(\w+)</Code>")
#: The refusals that another try may not meet.
_PASSING = {"408", "409", "429"}
#: Another writer completed or gave up the same upload: whether the file is there is to be seen.
_LOST_UPLOAD = ("NoSuchUpload", "InvalidBlockList", "InvalidBlobOrBlock")
#: How `obstore` begins an error about a token that its credentials should have brought.
_ASKING_FOR_ACCESS = "token request"
#: S3's answer if the bucket lies in another region.
_ELSEWHERE = "redirect without LOCATION"


@contextmanager
def understood(address: str, path: str | None = None) -> Iterator[None]:
    """Turn errors of a request into Missing and Damaged (if they concern the object at `path`),
    StoreRefused and StoreAway.
    """
    try:
        yield
    except FileNotFoundError as error:
        if path is None or _has_no_bucket(address, str(error)):
            raise _translated(address, str(error)) from None
        raise Missing(path, "is not in the archive") from None
    except PreconditionError as error:
        if path is None:
            raise _translated(address, str(error)) from None
        raise Damaged(path, "was replaced while it was read; run verify") from None
    except InvalidPathError as error:
        raise StoreRefused(address, _strange(str(error))) from None
    except BaseError as error:
        raise _translated(address, str(error)) from None


def is_taken(address: str, error: AlreadyExistsError | PermissionDeniedError) -> bool:
    """Return whether a put was refused because an object has the name.

    Another reason is a request about the same name in progress: then it is unknown whether the
    name is taken (S3's ConditionalRequestConflict). Stores that may not replace an object for want
    of a right say so by the code of their refusal.
    """
    message = str(error)
    if any(words in message for words in service_of(address).overwriting):
        return True
    status = _STATUS.search(message)
    return isinstance(error, AlreadyExistsError) and (status is None or status[1] != "409")


def has_no_range(error: BaseError) -> bool:
    """Return whether the error is about a range of an object without bytes."""
    status = _STATUS.search(str(error))
    return (status is not None and status[1] == "416") or "non-partial" in str(error)


def _strange(message: str) -> str:
    """Describe a name that stops the listing: `obstore` lists nothing if one name is not a path."""
    name = _NAME.search(message)
    return (
        f"holds an object with an impossible name ({name[1] if name else 'unknown'}), which "
        "Earwitness did not write; nothing beside it can be listed; rename or remove it"
    )


def _has_no_bucket(address: str, message: str) -> bool:
    return any(f"<Code>{code}</Code>" in message for code in service_of(address).no_bucket)


def _translated(address: str, message: str) -> StoreAway:
    """Return the archive's own error. `message` is written for programmers and never shown, since
    it may quote any answer.
    """
    service = service_of(address)
    status, code = _STATUS.search(message), _CODE.search(message)
    codes = " ".join(found[1] for found in (status, code) if found)
    refused = status is not None and status[1] not in _PASSING and codes.startswith(("3", "4"))
    if _has_no_bucket(address, message):
        return StoreRefused(
            address,
            f"is in a {service.place} that does not exist; create it, or name another",
        )
    if any(machine in message for machine in service.machine):
        return StoreRefused(address, f"needs credentials, and none are set; {service.credentials}")
    if _ASKING_FOR_ACCESS in message and refused:
        return StoreRefused(
            address,
            f"rejects the credentials ({codes}); nothing was done; check them and the "
            f"machine's clock, and {service.access}",
        )
    if status and status[1] in {"401", "403"}:
        return StoreRefused(address, f"denies access ({codes}); nothing was done; {service.access}")
    if status and status[1] == "501":
        return StoreRefused(
            address,
            f"does not support a request ({codes}); it may lack {service.condition}, without which "
            "files could be overwritten; use an object store that supports it",
        )
    if _ELSEWHERE in message or (refused and not codes.endswith(_LOST_UPLOAD)):
        return StoreRefused(
            address,
            f"rejects requests ({codes or 'it redirects them'}); {service.addressing}",
        )
    return StoreAway(
        address,
        f"does not answer correctly ({codes or 'no answer'}); whether the last file was stored is "
        f"unknown; the work will be retried; if this lasts, check {service.host}",
    )
