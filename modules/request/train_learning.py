"""What is trained and how it learns: the fields of a training that are about the model, the network and the optimizer.

Names follow kohya's scripts and the example scripts of diffusers where one exists. The fields about pictures and about watching stand in
`train_pictures`; `modules.request.train.TrainConfig` is made of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob
from modules.request.basics import SEED_LIMIT

LORA, DREAMBOOTH, TEXTUAL_INVERSION, CAPTIONER_LORA = METHODS = ("lora", "dreambooth", "textual_inversion", "captioner_lora")
ALGOS = ("lora", "dora", "loha", "lokr")
OPTIMIZERS = ("AdamW", "AdamW8bit", "Adafactor", "Prodigy", "Lion", "AdamWScheduleFree")
LR_SCHEDULERS = ("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "piecewise_constant")
PRECISIONS = ("no", "fp16", "bf16")
AUTO = "auto"
TIMESTEP_SAMPLING = (AUTO, "uniform", "sigmoid", "logit_normal", "mode", "shift")
WEIGHTING_SCHEMES = (AUTO, "none", "sigma_sqrt", "cosmap")
LOSS_TYPES = ("l2", "huber", "smooth_l1")
MOST_STEPS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is trained."""

    session: Annotated[str, Knob("Session", max_chars=100, help="Its folder in models/train; what is made gets this name too.")] = ""
    method: Annotated[
        str, Knob("Method", choices=METHODS, help="What is trained: a small network, the whole model, a word, a captioner.")
    ] = LORA
    checkpoint: Annotated[str, Knob("Model", choices="checkpoints", max_chars=1000, help="The model to start from: its title or path.")] = (
        ""
    )
    captioner: Annotated[
        str, Knob("Captioner", choices="captioners", max_chars=500, help="For captioner_lora: the captioner to start from.")
    ] = ""
    embedding_name: Annotated[
        str, Knob("Word", max_chars=100, help="For textual_inversion: the new word; empty takes the name of the session.")
    ] = ""
    initializer_text: Annotated[
        str, Knob("Starts as", max_chars=500, help="For textual_inversion: words whose meaning the new one begins with.")
    ] = ""
    num_vectors: Annotated[int, Knob("Vectors", 1, 75, ui=(1, 16), step=1, help="For textual_inversion: places the word takes.")] = 4
    text_encoder_steps: Annotated[
        int,
        Knob("Text encoder steps", 0, MOST_STEPS, ui=(0, 2000), step=10, help="For dreambooth: steps of the first stage; 0 leaves it out."),
    ] = 0
    text_encoder_resolution: Annotated[
        int,
        Knob(
            "Largest resolution of the text encoder's stage",
            0,
            4096,
            ui=(0, 1536),
            step=64,
            help="For dreambooth: larger pictures shrink to it; 0: off.",
        ),
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Network:
    """The small network of LoRA and its relatives."""

    network_algo: Annotated[
        str, Knob("Network", choices=ALGOS, help="dora learns size and direction apart; loha and lokr are smaller.")
    ] = "lora"
    network_dim: Annotated[int, Knob("Rank", 1, 1024, ui=(1, 128), step=1, help="A higher rank learns more and makes a larger file.")] = 16
    network_alpha: Annotated[
        float, Knob("Alpha", 0.001, 4096, ui=(1, 128), step=1, help="The network counts alpha / rank; half the rank to the rank is usual.")
    ] = 8.0
    network_dropout: Annotated[
        float, Knob("Dropout", 0, 0.9, step=0.05, help="Share of the network left out at random while training.")
    ] = 0.0
    conv_dim: Annotated[int, Knob("Rank of convolutions", 0, 1024, ui=(0, 64), step=1, help="0 leaves the convolutions alone.")] = 0
    conv_alpha: Annotated[float, Knob("Alpha of convolutions", 0.001, 4096, ui=(1, 64), step=1)] = 1.0
    target_blocks: Annotated[
        list[str],
        Knob(
            "Blocks", help="Only modules whose name holds one of these, such as mid_block or attn2; empty takes attention and feed-forward."
        ),
    ] = field(default_factory=list[str])
    scale_weight_norms: Annotated[
        float, Knob("Largest weight norm", 0, 100, ui=(0, 10), step=0.1, help="Scales down what grows beyond; 0: off.")
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Steps, rates, the optimizer, number types, several devices."""

    max_train_steps: Annotated[int, Knob("Steps", 1, MOST_STEPS, ui=(10, 10_000), step=10, help="Steps of the optimizer.")] = 1500
    train_batch_size: Annotated[int, Knob("Batch size", 1, 256, ui=(1, 16), step=1, help="Pictures at once, on each device.")] = 1
    gradient_accumulation_steps: Annotated[
        int, Knob("Accumulate", 1, 1024, ui=(1, 32), step=1, help="Batches for one step; like a larger batch, without its memory.")
    ] = 1
    learning_rate: Annotated[float, Knob("Learning rate", 0, 100, ui=(0, 0.01), help="1 for Prodigy.")] = 1e-4
    text_encoder_lr: Annotated[
        float, Knob("Learning rate of the text encoder", 0, 100, ui=(0, 0.001), help="0: the text encoder is not trained.")
    ] = 0.0
    optimizer: Annotated[str, Knob("Optimizer", choices=OPTIMIZERS, help="AdamW8bit needs less memory; Prodigy finds its own rate.")] = (
        "AdamW"
    )
    optimizer_args: Annotated[list[str], Knob("Optimizer arguments", help="name=number, one each, such as d_coef=0.8.")] = field(
        default_factory=list[str]
    )
    weight_decay: Annotated[float, Knob("Weight decay", 0, 1, ui=(0, 0.1), step=0.001)] = 0.01
    lr_scheduler: Annotated[str, Knob("Schedule", choices=LR_SCHEDULERS, help="How the learning rate changes on the way.")] = "constant"
    lr_warmup_steps: Annotated[int, Knob("Warm-up steps", 0, MOST_STEPS, ui=(0, 1000), step=1, help="The rate rises from 0 over them.")] = 0
    lr_scheduler_num_cycles: Annotated[int, Knob("Cycles", 1, 1000, ui=(1, 10), step=1, help="For cosine_with_restarts.")] = 1
    lr_scheduler_power: Annotated[float, Knob("Power", 0.01, 10, ui=(0.5, 3), step=0.1, help="For polynomial.")] = 1.0
    lr_steps: Annotated[
        str, Knob("Rates by step", max_chars=1000, help="For piecewise_constant: rate:until step, the last without, as in 1e-4:500, 5e-5.")
    ] = ""
    max_grad_norm: Annotated[float, Knob("Largest gradient", 0, 1000, ui=(0, 10), step=0.1, help="Longer ones are cut to it; 0: off.")] = (
        1.0
    )
    ema_decay: Annotated[float, Knob("EMA", 0, 0.999999, step=0.0001, help="Averages the weights over time, as in 0.999; 0: off.")] = 0.0
    mixed_precision: Annotated[
        str, Knob("Precision", choices=PRECISIONS, help="Number type of the frozen part and of the sums; no: float32.")
    ] = "no"
    gradient_checkpointing: Annotated[bool, Knob("Gradient checkpointing", help="Much less memory, about a quarter slower.")] = False
    seed: Annotated[int, Knob("Seed", 0, SEED_LIMIT, help="Order, noise and captions follow from it.")] = 0
    num_processes: Annotated[int, Knob("Devices", 1, 64, ui=(1, 8), step=1, help="Each takes a batch of its own at every step.")] = 1
    on_cluster: Annotated[bool, Knob("Over the cluster", help="On devices of the cluster's machines; needs --cluster.")] = False


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Noise, timesteps, and how much each counts."""

    min_snr_gamma: Annotated[
        float, Knob("Min-SNR gamma", 0, 100, ui=(0, 20), step=0.5, help="5 is usual; little noise counts less. 0: off.")
    ] = 0.0
    debiased_estimation_loss: Annotated[bool, Knob("Debiased loss", help="Weighs by 1 / sqrt(SNR); instead of min-SNR.")] = False
    noise_offset: Annotated[
        float, Knob("Noise offset", 0, 1, ui=(0, 0.2), step=0.005, help="Helps dark and bright pictures; 0.05 to 0.1.")
    ] = 0.0
    multires_noise_iterations: Annotated[int, Knob("Multi-resolution noise", 0, 16, step=1, help="Coarser noises added; 0: off.")] = 0
    multires_noise_discount: Annotated[float, Knob("Discount of coarser noise", 0, 1, step=0.05)] = 0.3
    ip_noise_gamma: Annotated[
        float, Knob("Input noise", 0, 1, ui=(0, 0.2), step=0.01, help="More noise in the input than told; 0.1 is usual.")
    ] = 0.0
    timestep_sampling: Annotated[
        str, Knob("Timesteps", choices=TIMESTEP_SAMPLING, help="How much noise is trained how often; auto takes what suits the family.")
    ] = AUTO
    logit_mean: Annotated[float, Knob("Logit mean", -10, 10, ui=(-2, 2), step=0.1, help="For logit_normal.")] = 0.0
    logit_std: Annotated[float, Knob("Logit deviation", 0.01, 10, ui=(0.1, 3), step=0.1, help="For logit_normal.")] = 1.0
    mode_scale: Annotated[float, Knob("Mode scale", -1, 1.75, step=0.01, help="For mode.")] = 1.29
    discrete_flow_shift: Annotated[
        float, Knob("Shift", 0, 100, ui=(0, 10), step=0.1, help="For models that flow: moves training towards noise; 0: the model's own.")
    ] = 0.0
    min_timestep: Annotated[int, Knob("Least timestep", 0, 999, step=1)] = 0
    max_timestep: Annotated[int, Knob("Largest timestep", 1, 1000, step=1)] = 1000
    weighting_scheme: Annotated[
        str, Knob("Loss weighting", choices=WEIGHTING_SCHEMES, help="For models that flow; auto takes what suits the family.")
    ] = AUTO
    loss_type: Annotated[str, Knob("Loss", choices=LOSS_TYPES, help="huber and smooth_l1 forgive odd pictures.")] = "l2"
    huber_c: Annotated[float, Knob("Huber's c", 0.0001, 10, ui=(0.01, 1), step=0.01, help="Beyond it the error counts linearly.")] = 0.1
    guidance_scale: Annotated[
        float, Knob("Guidance while training", 0, 30, ui=(1, 5), step=0.1, help="For Flux dev, which takes it as input.")
    ] = 1.0
