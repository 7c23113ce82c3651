"""From a found file to its facts: reads its header, asks the families what it is, and says in a sentence why it cannot be used.

Knows no list and no store. Start reading at `describe`.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections import Counter

from modules.families import identify, kind_of
from modules.faults import Fault, ModelFault
from modules.library.rows import CHECKPOINTS, PLACES, PRECISIONS, Facts, Found
from modules.library.sidecars import EMBEDDED
from modules.weights import gguf, model_folder
from modules.weights import header as headers
from modules.weights.header import BITS, Header
from modules.weights.layouts.controls import joined
from modules.weights.quantisers.saved import claimed

_SHA256 = re.compile(r"[0-9a-f]{64}")
log = logging.getLogger(__name__)
METADATA_LIMIT_CHARS = 2_000_000  # a longer text is left out of the index; nothing that people read is that long
DENOISERS = ("unet", "transformer")


def describe(found: Found) -> Facts:
    """The facts of a file or folder. Never raises: whatever is wrong with it becomes its `refusal`."""
    try:
        return _folder(found) if found.format == "folder" else _file(found)
    except Fault as fault:
        return Facts(kind=expected_kind(found), refusal=fault.message, extra={"reasons": fault.extra.get("reasons", {})})
    except Exception as error:  # a file from outside may hold anything; one strange file must not stop the index
        log.exception("describing %s", found.path)
        return Facts(kind=expected_kind(found), refusal=f"{found.path.name} could not be understood ({type(error).__name__}: {error}).")


def expected_kind(found: Found) -> str:
    """What a file should be, judged by its place and name only."""
    return "vae" if found.path.stem.endswith(".vae") else PLACES.get(found.place, "unknown")


def _folder(found: Found) -> Facts:
    if not (found.path / model_folder.INDEX).is_file():
        whole, _ = joined(found.path)
        return _facts(found, whole)
    description = model_folder.read(found.path)
    family, match = identify(description)
    main = next((p for part in DENOISERS for p in sorted((found.path / part).glob("*.safetensors"))), None)
    precision, parameters = _numbers(headers.read(main)) if main else ("", 0)
    if main and (quantiser := claimed(description.configs.get(main.parent.name, {}))):
        precision = quantiser
    return Facts(
        kind="checkpoint", architecture=family.architecture, family=family.id, variant=match.variant, prediction=match.prediction,
        native_px=match.native_px, precision=precision, parameters=parameters, extra={"parts": list(match.parts)},
    )  # fmt: skip


def _file(found: Found) -> Facts:
    if found.format == "pickle":
        why = f"{found.path.name} is a {found.path.suffix} file; those can hold programs and are not opened."
        raise ModelFault(f"{why} {_pickle_way(found)}")
    return _facts(found, gguf.read(found.path) if found.format == "gguf" else headers.read(found.path))


def _facts(found: Found, header: Header) -> Facts:
    kind = kind_of(header)
    name = "upscaler" if kind.kind == "unknown" and found.place == "ESRGAN" else kind.kind
    precision, parameters = _numbers(header)
    plain = Facts(
        kind=name, architecture=kind.architecture, precision=precision, parameters=parameters,
        alias=header.metadata.get("ss_output_name", "")[:200], metadata=_kept(header), content_sha256=_told_digest(header),
        extra={**({"pictured": True} if EMBEDDED in header.metadata else {}), **({"control": kind.control} if kind.control else {})},
    )  # fmt: skip
    if name == "controlnet" and not kind.control:
        why = f"{found.path.name} cannot be used: {kind.why}, and this version runs ControlNets and T2I-Adapters that are whole."
        return dataclasses.replace(plain, refusal=why)
    if name == "embedding":
        return dataclasses.replace(plain, extra={**plain.extra, **_vectors(header)})
    try:
        return _checkpoint(header, plain) if name in (*CHECKPOINTS, "unknown") else plain
    except ModelFault as fault:  # of another family, or of no kind at all
        kept = expected_kind(found) if name == "unknown" else name
        return dataclasses.replace(
            plain, kind=kept, refusal=fault.message, extra={**plain.extra, "reasons": fault.extra.get("reasons", {})}
        )


def _checkpoint(header: Header, plain: Facts) -> Facts:
    """Raises ModelFault with each family's reason when none knows it."""
    family, match = identify(header)
    wanted = ("vae", *family.encoders_of(match.variant))
    needed = [part for part in wanted if part not in match.parts and part not in family.optional]
    return dataclasses.replace(
        plain, kind="unet" if plain.kind == "unet" else "checkpoint", architecture=family.architecture, family=family.id,
        variant=match.variant, prediction=match.prediction, native_px=match.native_px,
        extra={**plain.extra, "parts": list(match.parts), "needs": needed},
    )  # fmt: skip


def _pickle_way(found: Found) -> str:
    if expected_kind(found) == "unknown":
        return "Ask its maker for a .safetensors file."
    return "Convert it on the Models tab."


def _numbers(header: Header) -> tuple[str, int]:
    """(the type that most of its bytes have, how many numbers it holds)."""
    count: Counter[str] = Counter()
    for info in header.tensors.values():
        count[info.dtype] += math.prod(info.shape)
    if not count:
        return "", 0
    most = max(count, key=lambda dtype: count[dtype] * BITS.get(dtype, 4))
    return PRECISIONS.get(most, most), sum(count.values())


def _told_digest(header: Header) -> str | None:
    """The digest of its content that the file's maker wrote down."""
    told = header.metadata.get("sshs_model_hash", "").lower()
    return told if _SHA256.fullmatch(told) else None


def _kept(header: Header) -> dict[str, str]:
    return {key: value for key, value in header.metadata.items() if len(value) <= METADATA_LIMIT_CHARS}


def _vectors(header: Header) -> dict[str, int]:
    """How many vectors an embedding has and how wide they are; of several encoders the first one's."""
    shapes = [info.shape for name, info in sorted(header.tensors.items()) if info.shape and name != "t5xxl"]
    if not shapes:
        return {}
    *count, width = shapes[0]
    return {"vectors": count[0] if count else 1, "width": width}
