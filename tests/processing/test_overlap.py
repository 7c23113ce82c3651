"""Which stages may overlap, by device, policy, what works on the CPU and what there is of main memory; and which jobs are of that kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from modules.folders import Folders
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.overlap import AUTOMATIC, SPARE_BYTES, Overlap, is_plain, overlap_of, reads_alike
from modules.processing.resolve import resolve
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, Network, ResolvedRequest, SideFile
from modules.settings import Settings

TEXT, VAE = "text_encoder", "vae"
WORK = {"text": 100, "decode": 1000}
MUCH = SPARE_BYTES + 10_000
NONE, TEXTS, DECODE, BOTH = Overlap(), Overlap(texts=True), Overlap(decode=True), Overlap(texts=True, decode=True)


@pytest.mark.parametrize(
    ("asked", "kind", "policy", "on_cpu", "work", "free", "wanted"),
    [
        (AUTOMATIC, "cuda", "resident", (), WORK, MUCH, NONE),
        (AUTOMATIC, "cuda", "resident", (TEXT,), WORK, MUCH, TEXTS),
        (AUTOMATIC, "cuda", "resident", (VAE,), WORK, MUCH, DECODE),
        (AUTOMATIC, "cuda", "resident", (TEXT, VAE), WORK, MUCH, BOTH),
        (AUTOMATIC, "rocm", "encoders-on-cpu", (), WORK, MUCH, TEXTS),
        (AUTOMATIC, "xpu", "vae-on-cpu", (), WORK, MUCH, BOTH),
        (AUTOMATIC, "cuda", "streamed-vae-on-cpu", (), WORK, MUCH, BOTH),
        (AUTOMATIC, "cuda", "streamed", (VAE,), WORK, MUCH, DECODE),
        (AUTOMATIC, "cuda", "encoders", (VAE,), WORK, MUCH, DECODE),
        (AUTOMATIC, "cuda", "medvram", (TEXT, VAE), WORK, MUCH, NONE),
        (AUTOMATIC, "cuda", "lowvram", (TEXT, VAE), WORK, MUCH, NONE),
        ("Off", "cuda", "vae-on-cpu", (), WORK, MUCH, NONE),
        (AUTOMATIC, "cpu", "resident", (TEXT, VAE), WORK, MUCH, NONE),
        (AUTOMATIC, "mps", "resident", (TEXT, VAE), WORK, MUCH, NONE),
        (AUTOMATIC, "directml", "vae-on-cpu", (), WORK, MUCH, NONE),
        (AUTOMATIC, "cuda", "vae-on-cpu", (), None, MUCH, NONE),
        (AUTOMATIC, "cuda", "vae-on-cpu", (), WORK, SPARE_BYTES + 1100, BOTH),
        (AUTOMATIC, "cuda", "vae-on-cpu", (), WORK, SPARE_BYTES + 1099, DECODE),
        (AUTOMATIC, "cuda", "vae-on-cpu", (), WORK, SPARE_BYTES + 999, TEXTS),
        (AUTOMATIC, "cuda", "vae-on-cpu", (), WORK, SPARE_BYTES + 99, NONE),
    ],
)
def test_what_overlaps(
    asked: str, kind: str, policy: str, on_cpu: tuple[str, ...], work: Mapping[str, int] | None, free: int, wanted: Overlap
) -> None:
    assert overlap_of(asked, kind, policy, on_cpu, work, free) == wanted


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folders = Folders.at(tmp_path_factory.mktemp("data"))
    library = Library(folders)

    def of(**request: Any) -> ResolvedRequest:
        asked = GenerationRequest.from_data({"prompt": "x", "seed": 1, **request})
        return resolve(asked, Settings(), library, Styles(folders.styles_file), Inputs(folders))

    return of


OTHERS: tuple[dict[str, Any], ...] = (
    {"enable_hr": True, "hr_scale": 2.0},
    {"tiling": True},
    {"pag_scale": 3.0},
    {"override_settings": {"token_merging_ratio": 0.5}},
    {"override_settings": {"show_progress_type": "Full"}},
    {"override_settings": {"opt_channelslast": True}},
    {"override_settings": {"cross_attention_optimization": "math"}},
    {"override_settings": {"backend": "compile"}},
    {"override_settings": {"face_restoration": True}},
)


def test_which_jobs_are_plain(resolved: Any) -> None:
    assert is_plain(resolved(n_iter=4, batch_size=2, prompt="a {b|c} [d:e:0.5] AND f"))
    quick = {"show_progress_type": "Full", "live_previews_enable": False}
    assert is_plain(resolved(override_settings=quick)), "no previews, so none by the VAE"
    assert [more for more in OTHERS if is_plain(resolved(**more))] == []
    tiny = SideFile(name="taesd", path="/taesd", sha256="")
    assert not is_plain(replace(resolved(), tiny=tiny))


def test_prompts_are_alike_when_encoders_and_loras_are(resolved: Any) -> None:
    one = resolved()
    assert reads_alike(one, resolved(prompt="y", seed=5, width=256))
    assert not reads_alike(one, replace(one, networks=(Network(name="l", path="/l", sha256="", te=1.0, unet=1.0),)))
    assert not reads_alike(one, replace(one, settings={**one.settings, "quantise_text_encoder": "fp8"}))
