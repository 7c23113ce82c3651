"""The VAE works on the CPU, and so do the text encoders: of the model only the denoiser is on the device. Decoding is slow.

Two rows: the denoiser stays on the device, or its layers visit it one by one, which is the last thing there is before memory runs out.
"""

from __future__ import annotations

from modules.hardware.policies.grouped import settle
from modules.hardware.policies.resident import stay
from modules.hardware.policies.row import OFFLOADS, TEXT, VAE, Policy, is_text
from modules.hardware.policies.streamed import two_layers, visit_by_layers

VAE_ON_CPU = Policy(
    help="VAE and text encoders work on the CPU, the rest stays on the device; slow", apply=stay, kinds=(*OFFLOADS, "directml"),
    apart=is_text, on_cpu=(TEXT, VAE),
)  # fmt: skip

STREAMED_VAE_ON_CPU = Policy(
    help="VAE and text encoders work on the CPU; of the rest only the layer at work and the next one are on the device; the slowest",
    apply=visit_by_layers, lift=settle, kinds=OFFLOADS, held=two_layers, apart=lambda component: True, on_cpu=(TEXT, VAE),
    ran="CPU, without streams",
)  # fmt: skip
