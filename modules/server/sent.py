"""Pictures in a body: base64, a data URI, an address, or the name of one that was sent before.

Knows how pictures arrive; the input store keeps them. Addresses are followed only when a setting allows it, and into a private network
only when another one does. Start reading at `received`, then `keep`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from modules.faults import RequestFault
from modules.request import REFERENCE
from modules.server.errors import Refused
from modules.upkeep.reach import AGENT, Broken, DownloadFault, Reach

if TYPE_CHECKING:
    from modules.inputs import Inputs
    from modules.settings import Settings

MAX_BYTES = 64 * 1024 * 1024
AT_ONCE = 1024 * 1024
WHOLE_S = 30.0
WEB_PORTS = frozenset({80, 443})
UNREADABLE = 422
"""Status of a picture that cannot be read. A1111 says the same words with 500, which clients take for a reason to ask again."""
INVALID, NOT_ALLOWED, LOCAL, BAD_ADDRESS = (
    "Invalid encoded image", "Requests not allowed", "Request to local resource not allowed", "Invalid image url",
)  # fmt: skip
_DATA_URI = re.compile(r"data:image/[\w.+-]{1,40};base64,", re.IGNORECASE)


def received(sent: Any, field: str, settings: Settings, reach: Reach | None = None) -> bytes:
    """The bytes of a picture file that was sent as the value of a field: base64, bare or as a data URI, or an address.

    Nobody has looked yet whether it is a picture. settings: the stored ones, never those that the request brings along; reach: stands
    in for theirs. Raises RequestFault(field) for what is no text, Refused with A1111's words for what leads to no bytes.
    """
    if not isinstance(sent, str):
        raise RequestFault(field, "a picture in base64 is needed", got=sent)
    text = sent.strip()
    if _is_address(text):
        if not settings.api_enable_requests:
            raise Refused(
                UNREADABLE, NOT_ALLOWED, errors=f"{field}: send the picture itself, in base64, or turn on the setting api_enable_requests"
            )
        return _fetched(text, field, reach or reach_of(settings))
    return decode(text, field)


def keep(sent: Any, field: str, inputs: Inputs, settings: Settings, reach: Reach | None = None) -> str:
    """The reference of a picture that was sent, kept with those that requests begin with; see `received`.

    It may also be the reference itself. Raises what `received` does, and Refused with A1111's words for what is no picture.
    """
    if isinstance(sent, str) and sent.strip().startswith(REFERENCE):
        inputs.path(sent.strip(), field)
        return sent.strip()
    data = received(sent, field, settings, reach)
    try:
        return inputs.put(data, field)
    except RequestFault as fault:
        raise Refused(UNREADABLE, BAD_ADDRESS if _is_address(str(sent).strip()) else INVALID, errors=fault.message) from fault


def decode(image: Any, field: str = "image") -> bytes:
    """The file behind a base64 text or data URI. Raises RequestFault(field) without a text, Refused for what is not base64."""
    if not isinstance(image, str):
        raise RequestFault(field, "a picture in base64 is needed", got=image)
    text = image.strip()
    prefix = _DATA_URI.match(text)
    try:
        data = base64.b64decode("".join(text[prefix.end() if prefix else 0 :].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(UNREADABLE, INVALID, errors=f"{field}: {error}") from error
    if not data:
        raise Refused(UNREADABLE, INVALID, errors=f"{field}: it is empty")
    return data


def reach_of(settings: Settings) -> Reach:
    """Who may be asked for a picture: the usual ports of public addresses, for half a minute, and nobody is shown a key."""
    private = not settings.api_forbid_local_requests
    return Reach(
        schemes=("https", "http"),
        ports=None if private else WEB_PORTS,
        private=private,
        keys=False,
        proxied=False,  # a proxy would look the name up anew
        whole_s=WHOLE_S,
        agent=settings.api_useragent or AGENT,
    )


def _is_address(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _fetched(url: str, field: str, reach: Reach) -> bytes:
    """The bytes behind an address. Raises Refused."""
    try:
        with reach.get(url) as answer:
            found = bytearray()
            while piece := answer.read(AT_ONCE):
                found += piece
                if len(found) > MAX_BYTES:
                    raise Refused(UNREADABLE, BAD_ADDRESS, errors=f"{field}: is larger than {MAX_BYTES} bytes")
            return bytes(found)
    except RequestFault as fault:
        raise Refused(UNREADABLE, LOCAL, errors=f"{field}: {fault.why}") from fault
    except (DownloadFault, Broken) as fault:
        raise Refused(UNREADABLE, BAD_ADDRESS, errors=f"{field}: {fault}") from fault
