"""Validation of the raw messages in Redis."""

from __future__ import annotations

import base64
import bz2
import json
import lzma
import zlib
from collections.abc import Callable
from typing import Annotated, Any

from kombu.transport.virtual import Message
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tasks.runtime.message_headers import Malformed

#: The limit of a message, and of its body once decompressed. Our messages have about 1.3 kB.
MAX_BYTES = 4 * 1024 * 1024
_ENCODINGS = (None, "utf-8", "base64")
#: The formats of Celery's `task_compression`.
_UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    "application/x-gzip": lambda packed: _unpack(zlib.decompressobj(), packed),
    "application/x-bz2": lambda packed: _unpack(bz2.BZ2Decompressor(), packed),
    "application/x-lzma": lambda packed: _unpack(lzma.LZMADecompressor(), packed),
}
#: Clients of other languages write the short names.
_NAMES = {
    "gzip": "application/x-gzip",
    "zlib": "application/x-gzip",
    "bzip2": "application/x-bz2",
    "lzma": "application/x-lzma",
}


class NoMessage(ValueError):
    """An item in Redis is not a message of a producer. The text never quotes its content."""


def describe(error: BaseException) -> str:
    """Return why a message is invalid, without quoting its content."""
    if isinstance(error, NoMessage | Malformed):
        return str(error)
    return f"it cannot be understood ({type(error).__name__})"


def _whole(text: str) -> str:
    text.encode()  # raises for half of a surrogate pair
    return text


_Text = Annotated[str, AfterValidator(_whole)]


class _Delivery(BaseModel):
    """The sender's delivery information, without exchange and routing key.

    Both are ignored, because only the queue that held the message counts.
    """

    model_config = ConfigDict(strict=True)

    priority: int | None = None
    redelivered: bool | None = None


class _Properties(BaseModel):
    model_config = ConfigDict(strict=True)

    delivery_tag: Annotated[_Text, Field(min_length=1)]
    delivery_info: _Delivery
    body_encoding: str | None = None
    priority: int | None = None
    correlation_id: _Text | None = None
    reply_to: _Text | None = None


class _Message(BaseModel):
    """The fields of a message that kombu and Celery read."""

    model_config = ConfigDict(strict=True)

    body: str
    properties: _Properties
    headers: dict[str, Any] | None = None
    content_type: _Text | None = Field(default=None, alias="content-type")
    content_encoding: _Text | None = Field(default=None, alias="content-encoding")


def parsed(item: bytes) -> dict[str, Any]:
    """Return the message of a list's item.

    Raises NoMessage, and Python's errors of invalid JSON. All of them are the message's fault.
    """
    if len(item) > MAX_BYTES:
        raise NoMessage("it is longer than 4 MiB")
    payload = json.loads(item.decode())
    if not isinstance(payload, dict):
        raise NoMessage("it is not a JSON object")
    return payload


class Envelope(Message):
    """A validated message. The constructor raises NoMessage for an invalid one."""

    #: The queue that held the message, and its bytes there.
    queue: str = ""
    item: bytes = b""

    def __init__(self, payload: Any, channel: Any = None, **more: Any) -> None:
        fields = _validated(payload)
        properties = payload["properties"]
        headers = dict(fields.headers or {})
        body = _body(fields.body, fields.properties.body_encoding, headers.pop("compression", None))
        plain = {**payload, "body": body, "headers": headers}
        super().__init__(
            {**plain, "properties": {**properties, "body_encoding": None}}, channel=channel, **more
        )


def _validated(payload: Any) -> _Message:
    try:
        fields = _Message.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "whole"
        raise NoMessage(f"its {place} is not what producers write") from None
    if fields.properties.body_encoding not in _ENCODINGS:
        raise NoMessage("its body_encoding is neither base64 nor utf-8")
    return fields


def _body(text: str, encoding: str | None, compression: Any) -> bytes:
    # Some clients break base64 into lines.
    body = text.encode() if encoding != "base64" else _from_base64("".join(text.split()))
    if compression is None:
        return body
    unpack = _UNPACKERS.get(_NAMES.get(compression, compression))
    if unpack is None:
        raise NoMessage("its body is compressed in an unknown way")
    return unpack(body)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise NoMessage("its body is not base64") from None


def _unpack(unpacker: Any, packed: bytes) -> bytes:
    body: bytes = unpacker.decompress(packed, MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise NoMessage("its body is longer than 4 MiB once it is unpacked")
    if not unpacker.eof:
        raise NoMessage("its compressed body ends early")
    return body
