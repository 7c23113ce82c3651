"""What the families add to loading: the scheduler learns what the weights predict."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from modules.families import FAMILIES, LoadPlan, sd2
from modules.families.opening import changed, scheduler_changes
from modules.families.sd2 import predicts_velocity


class GivesBack(torch.nn.Module):
    """A UNet that gives its input back times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))
        self.config = SimpleNamespace(in_channels=4, cross_attention_dim=1024)

    def forward(self, noisy: torch.Tensor, step: int, *, encoder_hidden_states: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        assert (step, encoder_hidden_states.shape, return_dict) == (999, (1, 2, 1024), False)
        return (noisy * self.factor,)


@pytest.mark.parametrize(("factor", "velocity"), [(1.0, False), (0.6, False), (-3.0, True)])
def test_a_unet_is_asked_what_it_predicts(factor: float, velocity: bool) -> None:
    assert predicts_velocity(GivesBack(factor)) is velocity


def _file(folder: Path, names: list[str], metadata: dict[str, str] | None = None) -> Path:
    save_file({"x": torch.zeros(1), **{name: torch.zeros(1) for name in names}}, folder / "m.safetensors", metadata=metadata)
    return folder / "m.safetensors"


@pytest.mark.parametrize(
    ("names", "metadata", "asked", "changes"),
    [
        ([], {}, None, {}),
        ([], {}, "v_prediction", {"prediction_type": "v_prediction"}),
        ([], {}, "flow", {}),
        (["v_pred"], {}, None, {"prediction_type": "v_prediction"}),
        (["v_pred"], {}, "epsilon", {"prediction_type": "epsilon"}),
        ([], {"modelspec.prediction_type": "v"}, None, {"prediction_type": "v_prediction"}),
        (
            ["v_pred", "ztsnr"],
            {},
            None,
            {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
        ),
    ],
)
def test_markers_of_a_file_reach_the_scheduler(
    tmp_path: Path, names: list[str], metadata: dict[str, str], asked: str | None, changes: dict[str, Any]
) -> None:
    path = _file(tmp_path, names, metadata)
    assert scheduler_changes(LoadPlan(path=path, dtype="float32", prediction=asked)) == changes


def test_a_scheduler_that_cannot_follow_is_replaced() -> None:
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler

    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    for given, expected in ((PNDMScheduler, DDIMScheduler), (EulerDiscreteScheduler, EulerDiscreteScheduler)):
        made = changed(given(beta_start=0.00085, beta_schedule="scaled_linear"), zero)
        assert type(made) is expected
        assert {name: made.config[name] for name in zero} == zero
        assert made.config.beta_start == 0.00085
    assert type(changed(PNDMScheduler(), {"prediction_type": "v_prediction"})) is PNDMScheduler


@pytest.mark.parametrize(
    ("factor", "metadata", "prediction"),
    [(-3.0, {}, "v_prediction"), (1.0, {}, "epsilon"), (-3.0, {"modelspec.prediction_type": "epsilon"}, "as loaded")],
)
def test_a_file_of_the_second_family_without_a_word_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float, metadata: dict[str, str], prediction: str
) -> None:
    from diffusers import DDIMScheduler

    loaded = SimpleNamespace(unet=GivesBack(factor), scheduler=DDIMScheduler(prediction_type="sample"))
    monkeypatch.setattr(sd2, "opened", lambda *_: loaded)
    sd2.load(LoadPlan(path=_file(tmp_path, [], metadata), dtype="float32", variant="768"))
    assert loaded.scheduler.config.prediction_type == prediction.replace("as loaded", "sample")


def test_a_gguf_file_has_only_the_plans_word(tmp_path: Path) -> None:
    plan = LoadPlan(path=tmp_path / "m.gguf", dtype="float32")
    assert scheduler_changes(plan) == {}


def test_the_facts_do_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from modules.families import FAMILIES, kind_of; sys.exit(any(m in sys.modules for m in ('torch', 'diffusers')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert FAMILIES.names() == ["sd15", "sd2", "sdxl", "sd3", "flux"]
