"""Translation of `obstore`'s errors into the archive's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError, PreconditionError

from archive.errors import Damaged, Missing, StoreAway, StoreRefused

_STATUS = re.compile(r"status code: (\d{3})")
_NAME = re.compile(r'[Pp]ath "([^"]+)"')
_CODE = re.compile(r"<Code>(\w+)</Code>")
#: The refusals that another try may not meet.
_PASSING = {"408", "409", "429"}
#: The address where a cloud machine asks for its own credentials; `obstore` does so without others.
_CREDENTIALS_OF_MACHINE = "169.254.169.254"
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
        if path is None or "NoSuchBucket" in str(error):
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


def is_conflict(error: AlreadyExistsError) -> bool:
    """Return whether a name was refused only because another request about the name was in
    progress: then it is unknown whether the name is taken (S3's ConditionalRequestConflict).
    """
    status = _STATUS.search(str(error))
    return status is not None and status[1] == "409"


def has_no_range(error: BaseError) -> bool:
    """Return whether the error is about a range of an object without bytes."""
    status = _STATUS.search(str(error))
    return (status is not None and status[1] == "416") or "non-partial" in str(error)


def _strange(message: str) -> str:
    """Describe a name that stops the listing: `obstore` lists nothing if one name is not a path."""
    name = _NAME.search(message)
    return (
        f"holds an object with an impossible name ({name[1] if name else 'unknown'}), which "
        "Earwitness did not write; nothing can be listed beside it; rename or remove it"
    )


def _translated(address: str, message: str) -> StoreAway:
    """Return the archive's own error. `message` is written for programmers and never shown, since
    it may quote any answer.
    """
    status, code = _STATUS.search(message), _CODE.search(message)
    codes = " ".join(found[1] for found in (status, code) if found)
    if code and code[1] == "NoSuchBucket":
        return StoreRefused(
            address, "is in a bucket that does not exist; create it, or name another"
        )
    if status and status[1] in {"401", "403"}:
        return StoreRefused(
            address,
            f"denies access ({codes}); nothing was done; allow its key to read, list and write "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the bucket's policy)",
        )
    if _CREDENTIALS_OF_MACHINE in message:
        return StoreRefused(
            address,
            "needs credentials, and none are set; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment (neither .env nor ~/.aws is read for them)",
        )
    if status and status[1] == "501":
        return StoreRefused(
            address,
            f"does not support a request ({codes}); it may lack If-None-Match, without which files "
            "could be overwritten; use an object store that supports it",
        )
    passing = status is None or status[1] in _PASSING or codes.endswith("NoSuchUpload")
    if _ELSEWHERE in message or (not passing and codes.startswith(("3", "4"))):
        return StoreRefused(
            address,
            f"rejects requests ({codes or 'it redirects them'}); check AWS_REGION and "
            "AWS_ENDPOINT_URL",
        )
    return StoreAway(
        address,
        f"does not answer correctly ({codes or 'no answer'}); whether the last file was stored is "
        "unknown; the work will be retried; if this lasts, check AWS_ENDPOINT_URL",
    )
