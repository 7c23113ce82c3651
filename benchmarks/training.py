"""Steps per second of training against a plain loop in the way of diffusers' example script for LoRA, as a ratio, on this machine.

    python -m benchmarks.training [--model FOLDER] [--batch 4] [--resolution 128] [--rounds 8] [--steps 6] [--precision no]

The same model, layers, rank, batch, precision and optimizer. In turn: a few steps of the plain loop, a few of ours without caches, a few
of ours with caches; while one works the others wait. Printed: the median of theirs / ours, round by round. Wanted: 1.0 without caches,
1.5 with. The plain loop reads, resizes and tokenises in a DataLoader, encodes picture and text at each step, and steps through accelerate.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.optimization import get_scheduler
from peft import LoraConfig
from PIL import Image
from torch.nn import functional
from torchvision import transforms

from benchmarks.program import ROOT, machine
from modules.families import FAMILIES
from modules.folders import Folders
from modules.request.train import TrainConfig
from modules.train.data.cache import DiskCache
from modules.train.data.dataset import Dataset
from modules.train.loop import train
from modules.train.methods import make_trainee
from modules.train.sessions import Session

STARTER = ROOT / "models" / "Stable-diffusion" / "darkroom-starter"
PICTURES = 16
PICTURE_PX = 512


class Turns:
    """A side that runs a few steps when it is asked, on a thread of its own, and waits in between."""

    def __init__(self, work: Callable[[Callable[[], None]], None]) -> None:
        self._left = 0
        self._go, self._done = threading.Event(), threading.Event()
        self._error: BaseException | None = None

        def whole() -> None:
            self._go.wait()
            try:
                work(self.stepped)
            except BaseException as error:  # noqa: BLE001 - shown by the next round
                self._error = error
                self._done.set()

        threading.Thread(target=whole, daemon=True).start()

    def stepped(self) -> None:
        """Called by the side after each step."""
        self._left -= 1
        if self._left == 0:
            self._go.clear()
            self._done.set()
            self._go.wait()

    def seconds(self, steps: int) -> float:
        """How long so many steps take."""
        self._left = steps
        self._done.clear()
        began = time.perf_counter()
        self._go.set()
        self._done.wait()
        if self._error is not None:
            raise self._error
        return time.perf_counter() - began


def loaded(folder: Path) -> Any:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")


class Folder(torch.utils.data.Dataset):
    """What the script reads: a picture and its tokens, made at each access."""

    def __init__(self, folder: Path, tokenizer: Any, side: int) -> None:
        self.files = sorted(folder.glob("*.png"))
        self.tokenizer = tokenizer
        self.turn = transforms.Compose(
            [
                transforms.Resize(side, interpolation=transforms.InterpolationMode.LANCZOS),
                transforms.CenterCrop(side),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path = self.files[index]
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        length = self.tokenizer.model_max_length
        tokens = self.tokenizer(text, max_length=length, padding="max_length", truncation=True, return_tensors="pt").input_ids[0]
        return {"pixel_values": self.turn(Image.open(path).convert("RGB")), "input_ids": tokens}


def endless(loader: Any) -> Iterator[dict[str, Any]]:
    while True:
        yield from loader


def plain(pipeline: Any, layers: list[str], pictures: Path, args: argparse.Namespace) -> Callable[[Callable[[], None]], None]:
    """The plain loop over the same layers."""

    def work(stepped: Callable[[], None]) -> None:
        accelerator = Accelerator(mixed_precision=args.precision)
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            part.requires_grad_(False)
        pipeline.unet.add_adapter(LoraConfig(r=args.rank, lora_alpha=args.rank, init_lora_weights="gaussian", target_modules=layers))
        params = [param for param in pipeline.unet.parameters() if param.requires_grad]
        optimizer = torch.optim.AdamW(params, lr=1e-4, weight_decay=1e-2)
        rates = get_scheduler("constant", optimizer)
        data = torch.utils.data.DataLoader(Folder(pictures, pipeline.tokenizer, args.resolution), shuffle=True, batch_size=args.batch)
        unet, optimizer, data, rates = accelerator.prepare(pipeline.unet, optimizer, data, rates)
        noising = DDPMScheduler.from_config(pipeline.scheduler.config)
        unet.train()
        for batch in endless(data):
            with accelerator.accumulate(unet):
                latents = pipeline.vae.encode(batch["pixel_values"]).latent_dist.sample() * pipeline.vae.config.scaling_factor
                noise = torch.randn_like(latents)
                times = torch.randint(0, noising.config.num_train_timesteps, (len(latents),), device=latents.device).long()
                noisy = noising.add_noise(latents, noise, times)
                words = pipeline.text_encoder(batch["input_ids"], return_dict=False)[0]
                target = noise if noising.config.prediction_type == "epsilon" else noising.get_velocity(latents, noise, times)
                with accelerator.autocast():
                    guess = unet(noisy, times, words, return_dict=False)[0]
                loss = functional.mse_loss(guess.float(), target.float(), reduction="mean")
                accelerator.gather(loss.repeat(args.batch)).mean().item()
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(params, 1.0)
                optimizer.step()
                rates.step()
                optimizer.zero_grad()
            stepped()

    return work


class Told:
    """A trainee that says when a step is over; everything else is the trainee's own."""

    def __init__(self, trainee: Any, stepped: Callable[[], None]) -> None:
        self._trainee = trainee
        self._stepped = stepped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainee, name)

    def after_step(self) -> None:
        self._trainee.after_step()
        self._stepped()


class Quiet:
    interrupted = False

    def status(self, message: str) -> None: ...

    def event(self, kind: str, data: dict[str, Any]) -> None: ...

    def progress(self, **_: Any) -> None: ...


def ours(trainee: Any, session: Session, config: TrainConfig) -> Callable[[Callable[[], None]], None]:
    """The program's own loop, as a job runs it: data from the session, log, schedule, exact noise."""

    def work(stepped: Callable[[], None]) -> None:
        cache = DiskCache(session.paths.cache)
        train(session, config, Told(trainee, stepped), Dataset.of(session, config), Quiet(), cache=cache)

    return work


def session_of(home: Path, name: str, args: argparse.Namespace, *, cached: bool) -> Session:
    config = TrainConfig(
        resolution=args.resolution, any_resolution=True, min_bucket_reso=32, max_bucket_reso=4 * args.resolution, enable_bucket=False,
        train_batch_size=args.batch, network_dim=args.rank, network_alpha=float(args.rank), mixed_precision=args.precision,
        max_train_steps=args.steps * (args.rounds + 2), cache_latents=cached, cache_text=cached, validate_every=0, sample_every=0,
        save_every=10**6, smart_crop=False,
    )  # fmt: skip
    session = Session.create(Folders.at(data=home), name, config)
    drawn = np.random.default_rng(1)
    for number in range(PICTURES):
        small = Image.fromarray(drawn.integers(0, 255, (16, 16, 3), dtype=np.uint8))
        small.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.BICUBIC).save(session.paths.pictures / f"{number}.png")
        (session.paths.pictures / f"{number}.txt").write_text(f"a red apple {number}, 3d", encoding="utf-8")
    return session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help="of each side in a round")
    parser.add_argument("--precision", choices=["no", "fp16", "bf16"], default="no")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        sides: dict[str, Turns] = {}
        layers: list[str] = []
        for name, cached in (("ours", False), ("ours, cached", True)):
            session = session_of(Path(folder), name.replace(", ", "-"), args, cached=cached)
            trainee: Any = make_trainee(session.config(), loaded(args.model), FAMILIES.get("sd15"))
            layers = sorted(path for path, _ in trainee.attached["unet"].layers())
            sides[name] = Turns(ours(trainee, session, session.config()))
            pictures = session.paths.pictures
        sides = {"plain": Turns(plain(loaded(args.model), layers, pictures, args)), **sides}
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(args.rounds + 1):
            for name, side in sides.items():
                taken[name].append(side.seconds(args.steps))
        print(machine())
        for name, seconds in taken.items():
            ratio = statistics.median(theirs / mine for theirs, mine in zip(taken["plain"][1:], seconds[1:], strict=True))
            print(f"{name:14} {args.steps / statistics.median(seconds[1:]):7.2f} steps/s   plain / this: {ratio:.2f}")


if __name__ == "__main__":
    main()
