"""The Train tab: what its scripts look for is there, what they ask for exists, and none of it weighs on the first load."""

from __future__ import annotations

import re

import pytest

from modules.knobs import knobs_of
from modules.request.train import TrainConfig
from modules.request.train_learning import METHODS
from modules.server.v2.train_values import GROUPS
from modules.web.page import ASSETS, LATE, SCRIPTS, STYLES
from modules.web.tabs import train

OWN = tuple(name for name in SCRIPTS if name.startswith("train"))


def scripts(*names: str) -> str:
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)


def listed(name: str) -> set[str]:
    """The names that stand between quotes or before colons in a constant of the settings' script."""
    found = re.search(rf"const {name} = ([\[{{].*?[\]}}]);", scripts("train_settings.js"), re.S)
    assert found is not None
    return {one or other for one, other in re.findall(r'"([a-z_0-9]+)"|([a-z_0-9]+):', found.group(1))}


def test_all_of_it_comes_after_the_first_load():
    assert OWN
    assert set(OWN) <= set(LATE["page/late.js"])
    assert "train.css" in LATE["page/late.css"]
    assert "train.css" in STYLES
    assert len(train.FRAME) < 300


def test_every_action_is_answered():
    answered = set(re.findall(r'darkroom\.on\("([a-z0-9-]+)"', scripts(*SCRIPTS)))
    asked = set(re.findall(r'action\((?:"[^"]*"|[^,"]*|`[^`]*`), "([a-z-]+)"', scripts(*OWN)))
    assert {"train-open", "train-crop", "train-caption-all", "train-start", "train-stop", "train-try", "train-compare"} <= answered
    assert asked <= answered


def test_the_scripts_are_in_an_order_that_works():
    order = ["core.js", "form.js", "lightbox.js", "queue.js", "models.js", "works.js", "train.js", "train_pictures.js", "train_words.js"]
    places = [SCRIPTS.index(name) for name in [*order, "train_crop.js", "train_settings.js", "train_plot.js", "train_run.js"]]
    assert places == sorted(places)


@pytest.mark.parametrize("constant", ["SAMPLES", "ELSEWHERE", "NETWORK", "STAGES", "WORD", "PRIOR", "NOISE", "DRAWN"])
def test_fields_that_the_page_sorts_are_fields_of_a_training(constant: str):
    named = listed(constant)
    assert named
    assert named <= set(knobs_of(TrainConfig))


def test_fields_shown_first_and_on_condition_are_fields_of_a_training():
    known = set(knobs_of(TrainConfig))
    assert listed("FIRST") - set(METHODS) <= known
    choices = [field.knob.choices for field in knobs_of(TrainConfig).values() if isinstance(field.knob.choices, tuple)]
    values = {value for some in choices for value in some}
    assert listed("WHEN") <= known | values


def test_methods_and_groups_have_words():
    assert set(re.findall(r'^    \["([a-z_]+)", "', scripts("train.js"), re.M)) >= set(METHODS)
    assert listed("GROUPS") >= set(GROUPS)
