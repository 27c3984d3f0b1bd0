"""The body of an answer as a JSON object. Owns the caps on size and depth, and what counts as cut or garbled.

httpx would unpack a body of any size, and takes a cut one for whole, so packed bodies are unpacked here.
"""

import json
import zlib
from typing import Any, Final, NoReturn

import httpx

from tasks.acquire.crawl.faults import GarbledError, TransientError

MAX_BYTES: Final = 8 << 20  # unpacked; 250 titles with five long plots each reach 2 MiB
ACCEPTED: Final = "gzip"


async def read_body(response: httpx.Response) -> bytes:
    """Return the unpacked body of a streamed response.

    Raises:
        GarbledError: it is larger than `MAX_BYTES`, or packed in a way that was not offered.
        TransientError: it was cut or damaged.
        httpx.TransportError: the connection failed.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "", "gzip", "x-gzip"):
        raise GarbledError(f"the answer is packed as {coding[:20]!r}, which was not offered")
    unpacker = zlib.decompressobj(wbits=31) if "gzip" in coding else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        try:
            body += unpacker.decompress(chunk, MAX_BYTES + 1 - len(body)) if unpacker else chunk
        except zlib.error as error:
            raise TransientError(f"the packed answer is damaged ({error})") from error
        if len(body) > MAX_BYTES:
            raise GarbledError(f"the answer has more than {MAX_BYTES:,} bytes")
    if unpacker and not unpacker.eof:
        raise TransientError("the packed answer was cut")
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body holds.

    Raises:
        GarbledError: it is no UTF-8, no object, nested too deeply, or holds NaN, infinities or endless numbers.
        TransientError: it is no JSON, as one is that was cut.
    """
    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise GarbledError(f"the answer is no UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise TransientError(f"the answer is no JSON, or was cut ({error.msg}, character {error.pos})") from error
    except (RecursionError, ValueError) as error:
        raise GarbledError(f"the answer is no JSON that makes sense ({str(error)[:80]})") from error
    if not isinstance(content, dict):
        raise GarbledError(f"the answer is a JSON {type(content).__name__}, not an object")
    return content


def dig(value: object, *keys: str) -> Any:
    """Return what lies under nested keys, or None where a step is not there or is no object."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
