"""Names for what is wrong with a device, and what to do about it.

Pure decisions over facts that `detect` has read, so they can be tested without the device. Start reading at `missing_kernels`.
"""

from __future__ import annotations

import re

_ARCH = re.compile(r"(sm|compute)_(\d+)[a-z]*$")


def missing_kernels(kind: str, name: str, capability: tuple[int, int], built_for: list[str]) -> str | None:
    """Why this torch has no kernels for an NVIDIA card, or None. built_for: torch.cuda.get_arch_list().

    A kernel for sm_80 runs on 8.0 and every later 8.x; compute_80 is translated for anything from 8.0 on.
    """
    if kind != "cuda" or not built_for:
        return None
    major, minor = capability
    for arch in built_for:
        found = _ARCH.match(arch)
        if found is None:
            continue
        at = divmod(int(found.group(2)), 10)
        if (found.group(1) == "sm" and at[0] == major and at[1] <= minor) or (found.group(1) == "compute" and at <= capability):
            return None
    return (
        f"No kernel image: {name} needs kernels for sm_{major}{minor}, and this torch was built for {', '.join(built_for)}. "
        "Install a torch build for this card into the environment."
    )


def unused_card(*, driver: str | None, cuda_build: str | None, hip_build: str | None, available: bool, error: str = "") -> str | None:
    """Why an NVIDIA card whose driver is loaded cannot be used, or None. driver: its version; cuda_build: torch.version.cuda."""
    if driver is None or available or hip_build:
        return None
    if cuda_build is None:
        return (
            f"CPU build of torch: an NVIDIA driver ({driver}) is here, and this torch was built without CUDA. "
            "Remove the folder venv and start again to install the build with CUDA."
        )
    if "driver" in error.lower() and ("old" in error.lower() or "insufficient" in error.lower()):
        return f"Driver too old: the NVIDIA driver {driver} is older than CUDA {cuda_build} asks for. Update the driver."
    reason = error or "no reason given"
    return f"No CUDA device: the NVIDIA driver {driver} is loaded, and torch sees no card ({reason}). Restart, or reinstall the driver."
