"""A1111's options that this version does not have: shown with the one value it works by, refused with any other.

Clients read them, post the whole dict back, and send some with each request. Knows names and values only.
Start reading at `refuse_active_overrides`.
"""

from __future__ import annotations

from typing import Any

from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.settings import Settings

_FIXED: dict[str, Any] = {
    "upcast_attn": False,
    "sd_hypernetwork": "None",
    "sd_lora": "None",
    "sd_noise_schedule": "Default",
    "control_net_allow_script_control": False,
}


def fixed() -> dict[str, Any]:
    """Name -> value. An option that `Settings` learns is no longer among them."""
    own = knobs_of(Settings)
    return {name: value for name, value in _FIXED.items() if name not in own}


def is_idle(name: str, value: Any) -> bool:
    """The option asks for nothing. Raises RequestFault when it is one of these with another value than the fixed one.

    False: it is none of these, and somebody else must judge it.
    """
    known = fixed()
    if name not in known:
        return value is None
    if value is None or (value == known[name] and isinstance(value, bool) == isinstance(known[name], bool)):
        return True
    raise RequestFault(name, "this version cannot change it yet", got=value, allowed=[known[name]])


def refuse_active_overrides(overrides: dict[str, Any]) -> dict[str, Any]:
    """override_settings without what asks for nothing. Raises RequestFault naming the option."""
    kept: dict[str, Any] = {}
    for name, value in overrides.items():
        if name.startswith("api_"):
            continue  # what programs may ask for is not for them to say; A1111 passes over these too
        try:
            idle = is_idle(name, value)
        except RequestFault as fault:
            raise RequestFault("override_settings", f"{name}: {fault.why}", got=value, allowed=fault.extra["allowed"]) from None
        if not idle:
            kept[name] = value
    return kept
