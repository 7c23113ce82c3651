"""The table of options: complete, honest about models, and readable without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from modules.families import FAMILIES
from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.request import Steering
from modules.settings import Settings
from modules.steering.caches import CACHES
from modules.steering.table import ALL, FREEU, OPTIONS, UNETS, check, freeu_values, is_tiling, merging_ratio, numbers, places, useless


def test_every_field_belongs_to_a_row():
    told = {name for option in OPTIONS for name in option.fields}
    assert {option.value for option in OPTIONS if "cache" in option.fields} == set(CACHES.names())
    assert told == {field.name for field in dataclasses.fields(Steering)}


def test_every_field_has_a_key_of_its_own_in_the_parameters_text():
    keys = [field.knob.infotext for field in knobs_of(Steering).values()]
    assert all(keys)
    assert len(set(keys)) == len(keys) == len(dataclasses.fields(Steering))


def test_every_setting_of_a_row_exists_and_is_off_by_default():
    defaults = Settings()
    for option in OPTIONS:
        assert all(not getattr(defaults, name) for name in option.settings), option.label


def test_every_architecture_is_known():
    known = {family.architecture for _, family in FAMILIES}
    assert known == set(ALL)
    assert {a for option in OPTIONS for a in option.architectures} <= known
    assert set(FREEU) == set(UNETS)


def test_nothing_is_on_by_default():
    assert not [o.label for o in OPTIONS if o.is_on(Steering(), Settings().to_data())]
    for architecture in ALL:
        assert useless(Steering(), Settings().to_data(), architecture, "X") == []


@pytest.mark.parametrize(
    ("asked", "architecture", "rows", "guided", "sentence"),
    [
        ({"freeu": True}, "sd3", 2, True, "FreeU has no effect on X."),
        ({"pag_scale": 3.0}, "flux", 2, True, "Perturbed-attention guidance has no effect on X."),
        ({"slg_scale": 3.0}, "sd1", 2, True, "Skip-layer guidance has no effect on X."),
        ({"cfg_rescale": 0.7}, "sd1", 2, False, "CFG rescale has no effect on X without guidance (CFG scale above 1)."),
        ({"cache": "DeepCache"}, "sd3", 2, True, "DeepCache has no effect on X."),
        ({"cache": "First block"}, "sd1", 2, True, "First block cache has no effect on X."),
        ({"cache": "MagCache"}, "sd3", 2, True, "MagCache has no effect on X."),
        ({"cache": "TaylorSeer"}, "sdxl", 2, True, "TaylorSeer has no effect on X."),
        ({"cache": "FasterCache"}, "flux", 1, True, "FasterCache has no effect on X with a CFG scale above 1."),
        ({"tiling": True}, "flux", 1, True, "Tiling has no effect on X."),
        ({"cfg_start": 0.2}, "sd1", 3, True, "Guidance start has no effect on X."),
    ],
)
def test_says_what_means_nothing(asked, architecture: str, rows: int, guided: bool, sentence: str):
    order = {1: ("prompt",), 2: ("negative", "prompt"), 3: ("prompt", "negative", "negative")}[rows]
    assert useless(Steering(**asked), {}, architecture, "X", guided=guided, rows=order) == [sentence]


def test_says_nothing_where_it_works():
    asked = Steering(cfg_rescale=0.7, freeu=True, pag_scale=3.0, cache="DeepCache", tiling=True)
    assert useless(asked, {"token_merging_ratio": 0.5, "s_min_uncond": 1.0}, "sdxl", "X") == []
    assert useless(Steering(slg_scale=2.8, pag_scale=1.0), {}, "sd3", "X") == []
    assert useless(Steering(cache="FasterCache"), {}, "flux", "X", guided=False, rows=("prompt",)) == []


def test_the_tiling_field_goes_before_the_setting():
    assert is_tiling(Steering(), {"tiling": True})
    assert not is_tiling(Steering(tiling=False), {"tiling": True})
    assert is_tiling(Steering(tiling=True), {"tiling": False})
    assert useless(Steering(tiling=False), {"tiling": True}, "flux", "X") == []


@pytest.mark.parametrize(
    ("settings", "overrides", "stage", "ratio"),
    [
        ({"token_merging_ratio": 0.3}, {}, "txt2img", 0.3),
        ({"token_merging_ratio": 0.3}, {}, "img2img", 0.3),
        ({"token_merging_ratio": 0.3}, {}, "hires", 0.3),
        ({"token_merging_ratio": 0.3, "token_merging_ratio_img2img": 0.6}, {}, "img2img", 0.6),
        ({"token_merging_ratio": 0.3, "token_merging_ratio_img2img": 0.6}, {"token_merging_ratio": 0.3}, "img2img", 0.3),
        ({"token_merging_ratio_hr": 0.5}, {}, "hires", 0.5),
        ({"token_merging_ratio_hr": 0.5}, {}, "txt2img", 0.0),
        ({"token_merging_ratio_img2img": 0.5}, {}, "txt2img", 0.0),
    ],
)
def test_each_stage_has_a_ratio(settings, overrides, stage: str, ratio: float):
    assert merging_ratio(settings, stage, overrides) == ratio


def test_published_values_stand_in_for_empty_ones():
    assert freeu_values(Steering(), "sdxl") == (1.3, 1.4, 0.9, 0.2)
    assert freeu_values(Steering(freeu_b1=1.1, freeu_s2=0.5), "sd1") == (1.1, 1.6, 0.9, 0.5)


def test_layers_are_read():
    assert places(" mid, down.1 ,up.02, 13,down") == ["mid", "down.1", "up.02", "13", "down"]
    assert numbers("7, 8,9,") == [7, 8, 9]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"pag_layers": "middle"}, "pag_layers"),
        ({"pag_layers": " , "}, "pag_layers"),
        ({"pag_layers": "up.-1"}, "pag_layers"),
        ({"slg_layers": "7; 8"}, "slg_layers"),
        ({"slg_layers": ""}, "slg_layers"),
        ({"slg_layers": "-1"}, "slg_layers"),
        ({"cfg_start": 0.5, "cfg_stop": 0.5}, "cfg_start"),
        ({"cache": "First Blok"}, "cache"),
    ],
)
def test_what_cannot_be_read_is_named(asked, field: str):
    with pytest.raises(RequestFault) as caught:
        check(Steering(**asked))
    assert caught.value.field == field


def test_the_table_needs_no_torch():
    code = "import sys, modules.steering; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
