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
    """Describe a name that stops the listing: `obstore` lists nothing if one name is no path."""
    name = _NAME.search(message)
    return (
        f"holds an object with an impossible name ({name[1] if name else 'not named'}), which "
        "nothing of ours has put there; nothing can be listed beside it; rename or remove it"
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
            f"does not let us in ({codes}); nothing was done; give its key the right to read, list "
            "and write (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the bucket's policy)",
        )
    if _CREDENTIALS_OF_MACHINE in message:
        return StoreRefused(
            address,
            "cannot be asked without credentials, and there are none; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment (neither .env nor ~/.aws is read for them)",
        )
    if status and status[1] == "501":
        return StoreRefused(
            address,
            f"does not know a request of ours ({codes}); it may lack If-None-Match, without which "
            "files could be overwritten; use an object store that has it",
        )
    passing = status is None or status[1] in _PASSING or codes.endswith("NoSuchUpload")
    if _ELSEWHERE in message or (not passing and codes.startswith(("3", "4"))):
        return StoreRefused(
            address,
            f"does not take our requests ({codes or 'it sends us elsewhere'}); see AWS_REGION and "
            "AWS_ENDPOINT_URL",
        )
    return StoreAway(
        address,
        f"does not answer as it should ({codes or 'no answer'}); it is unknown whether the last "
        "file was stored; to be tried again; where that lasts, see AWS_ENDPOINT_URL",
    )
