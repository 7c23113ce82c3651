"""DreamBooth in two stages and textual inversion: what learns and what does not, what is written, and both on the starter pack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from modules.families import FAMILIES, LoadPlan, identify
from modules.faults import ModelFault, RequestFault
from modules.folders import Folders
from modules.prompts.embeddings import Embeddings
from modules.request.train import TrainConfig
from modules.train.data.dataset import Dataset
from modules.train.loop import train
from modules.train.methods import make_trainee
from modules.train.methods.new_word import ReadingWord, first_rows
from modules.train.sessions import Session
from modules.train.trainee import Example, SampleAsked, StepNoise
from modules.weights import header, model_folder
from modules.weights.embeddings import read_file
from tests.model import tiny
from tests.train import unseen
from tests.train.runs import Quiet

SMALL = {"session": "mine", "resolution": 64, "any_resolution": True, "max_train_steps": 2, "seed": 3}
DREAM = {**SMALL, "method": "dreambooth", "learning_rate": 1e-3, "text_encoder_lr": 1e-3, "text_encoder_steps": 2}
SMALL_LORA = {**SMALL, "method": "lora", "learning_rate": 2e-3, "text_encoder_lr": 3e-4}
WORD = {**SMALL, "method": "textual_inversion", "learning_rate": 1e-2, "embedding_name": "zorblax", "num_vectors": 3}
WRITTEN = {"sd15": ["emb_params"], "sdxl": ["clip_g", "clip_l"], "sd3": ["clip_g", "clip_l"], "flux": ["clip_l"]}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    base, made = tmp_path_factory.mktemp("models"), dict[str, Path]()

    def make(name: str) -> Path:
        if name not in made:
            made[name] = unseen.STARTER if name == "starter" else tiny.BUILDERS[name](base / name)
        return made[name]

    return make


def opened(path: Path) -> tuple[Any, Any, str]:
    """(pipeline, family, variant) as the worker loads them."""
    family, match = identify(model_folder.read(path) if path.is_dir() else header.read(path))
    plan = LoadPlan(path=path, dtype="float32", variant=match.variant, prediction=match.prediction, parts={})
    return family.load(plan), family, match.variant


def weights(pipeline: Any) -> dict[str, torch.Tensor]:
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    return {f"{name}.{key}": tensor.clone() for name, part in parts.items() for key, tensor in part.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Components of which any number differs."""
    assert before.keys() == after.keys()
    return {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}


def examples() -> list[Example]:
    pixels = [torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(n)) * 2 - 1 for n in (0, 1)]
    size = {"original_size": (64, 64), "crop_top_left": (0, 0), "target_size": (64, 64)}
    return [Example(pixels=p, caption=c, **size) for p, c in zip(pixels, ("a zorblax on the sea", "at night"), strict=True)]


def step(trainee: Any) -> float:
    """A step of every trained number at once; the loss before it."""
    groups = trainee.parameters()
    optimizer = torch.optim.AdamW([{"params": group.params, "lr": group.lr} for group in groups])
    loss = trainee.loss(examples(), StepNoise(0, 0, (0, 1))).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


@pytest.mark.parametrize("name", ["sd15", "sd3"])
def test_dreambooth_trains_first_the_text_encoders_then_the_network(name: str, folder_of: Callable[[str], Path], tmp_path: Path):
    pipeline, family, variant = opened(folder_of(name))
    trainee = make_trainee(TrainConfig.from_data(DREAM), pipeline, family, variant)
    first, second = trainee.stages()
    start = weights(pipeline)
    trainee.begin(first)
    step(trainee)
    middle = weights(pipeline)
    assert changed(start, middle) == {"text_encoder"} | ({"text_encoder_2"} if name == "sd3" else set())
    assert not trainee.text_is_frozen()
    trainee.begin(second)
    losses = [step(trainee) for _ in range(4)]
    assert losses[-1] < losses[0]
    assert changed(middle, weights(pipeline)) == {family.denoiser}
    assert trainee.text_is_frozen()
    single, folder = trainee.export(tmp_path / "mine", {"ss_steps": "4"})
    assert (single.name, folder.name) == ("mine.safetensors", "mine")
    ours = weights(pipeline)
    for path in (single, folder):
        again, found, _ = opened(path)
        assert found is family
        read = weights(again)
        for key, tensor in ours.items():
            if key.rpartition(".")[2] != "position_ids":
                assert torch.equal(tensor.to(torch.float16).float(), read[key].float()), key
    assert set(header.read(single).metadata) >= {"modelspec.title", "ss_steps"}
    state = {key: tensor.clone() for key, tensor in trainee.state_dict().items()}
    other = make_trainee(TrainConfig.from_data(DREAM), *opened(folder_of(name)))
    other.begin(second)
    other.load_state_dict(state)
    rng = StepNoise(0, 5, (0, 1))
    assert torch.equal(trainee.loss(examples(), rng), other.loss(examples(), rng))
    with pytest.raises(ModelFault, match="start anew"):
        other.load_state_dict(dict(list(state.items())[1:]))


def test_without_steps_of_its_own_the_text_encoder_learns_beside_the_network(folder_of: Callable[[str], Path], tmp_path: Path):
    pipeline, family, variant = opened(folder_of("sd15"))
    trainee = make_trainee(TrainConfig.from_data({**DREAM, "text_encoder_steps": 0, "save_format": "kohya"}), pipeline, family, variant)
    (only,) = trainee.stages()
    before = weights(pipeline)
    trainee.begin(only)
    assert [group.name for group in trainee.parameters()] == ["unet", "text_encoder"]
    step(trainee)
    assert changed(before, weights(pipeline)) == {"unet", "text_encoder"}
    assert [path.name for path in trainee.export(tmp_path / "mine-000002", {})] == ["mine-000002.safetensors"], "a save on the way"


@pytest.mark.parametrize("name", WRITTEN)
def test_only_the_new_words_rows_learn(name: str, folder_of: Callable[[str], Path], tmp_path: Path):
    pipeline, family, variant = opened(folder_of(name))
    before = weights(pipeline)
    tokenizers = [getattr(pipeline, place, None) for place in ("tokenizer", "tokenizer_2")]
    trainee: Any = make_trainee(TrainConfig.from_data(WORD), pipeline, family, variant)
    trainee.begin(trainee.stages()[0])
    rows = {key: tensor.clone() for key, tensor in trainee.state_dict().items()}
    plain = trainee.sample(SampleAsked("a night", width=64, height=64, steps=1))
    named = trainee.sample(SampleAsked("a zorblax", width=64, height=64, steps=1))
    step(trainee)
    assert all(not torch.equal(rows[key], tensor) for key, tensor in trainee.state_dict().items())
    assert trainee.sample(SampleAsked("a night", width=64, height=64, steps=1)).tobytes() == plain.tobytes()
    assert trainee.sample(SampleAsked("a zorblax", width=64, height=64, steps=1)).tobytes() != named.tobytes()
    (path,) = trainee.export(tmp_path / "mine", {})
    learnt = {key: tensor.clone() for key, tensor in trainee.state_dict().items()}
    trainee.close()
    assert changed(before, weights(pipeline)) == set()
    assert [getattr(pipeline, place, None) for place in ("tokenizer", "tokenizer_2")] == tokenizers
    stored = load_file(path)
    assert (path.name, sorted(stored)) == ("zorblax.safetensors", WRITTEN[name])
    assert {len(tensor) for tensor in stored.values()} == {3}
    clips = {key: key.replace("text_encoder", "tokenizer") for key in learnt}
    known = Embeddings.of([path], {key: getattr(pipeline, place) for key, place in clips.items()}, {k: getattr(pipeline, k) for k in clips})
    assert known.names == ["zorblax"]
    for key, place in clips.items():
        ids = getattr(pipeline, place)("a zorblax", add_special_tokens=False).input_ids
        found = [part for part in known.split(key, ids) if not isinstance(part, int)]
        assert torch.equal(found[0].vectors[key], learnt[key])


def test_a_word_begins_as_other_words_and_is_found_as_in_prompts(folder_of: Callable[[str], Path]):
    pipeline, *_ = opened(folder_of("sd15"))
    table = pipeline.text_encoder.get_input_embeddings().weight
    ids = pipeline.tokenizer("red dog", add_special_tokens=False).input_ids
    rows = first_rows("red dog", 4, pipeline.tokenizer, table, 0)
    assert torch.equal(rows, table.detach()[[ids[n * len(ids) // 4] for n in range(4)]])
    with pytest.raises(RequestFault, match="shorten it"):
        first_rows("a very large red dog", 1, pipeline.tokenizer, table, 0)
    reading = ReadingWord(pipeline.tokenizer, "zorblax", 5000, 2)
    plain = pipeline.tokenizer(["a red dog", "x"], padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    assert torch.equal(reading(["a red dog", "x"], padding="max_length", max_length=77, return_tensors="pt").input_ids, plain.input_ids)
    assert reading("a zorblax dog", add_special_tokens=False).input_ids.count(5000) == 1
    with pytest.raises(RequestFault, match="embedding_name"):
        make_trainee(TrainConfig.from_data({**WORD, "embedding_name": "a/b"}), pipeline, FAMILIES.get("sd15"))


@pytest.mark.parametrize("asked", [SMALL_LORA, DREAM, WORD], ids=["lora", "dreambooth", "textual_inversion"])
def test_on_the_starter_pack_the_loss_on_pictures_that_were_not_trained_falls(asked: dict[str, Any], folders: Folders):
    """Session, data set and loop as in use; the files are looked for among models as a person would use them."""
    slower = {"dreambooth": {"learning_rate": 3e-4, "text_encoder_lr": 1e-4}, "textual_inversion": {"learning_rate": 5e-3}}
    config = TrainConfig.from_data(
        {
            **asked, **slower.get(asked["method"], {}),
            "resolution": 128, "enable_bucket": False, "smart_crop": False, "train_batch_size": 4, "save_every": 1000,
            "validation_split": 0.25, "validate_every": 5, "sample_every": 0, "tensorboard": False, "min_bucket_reso": 64,
            "trigger_word": unseen.WORD, "max_train_steps": 10,
        }
    )  # fmt: skip
    session = Session.create(folders, "mine", config)
    unseen.fill_session(session.paths.pictures)
    pipeline, family, variant = opened(unseen.STARTER)
    trainee = make_trainee(config, pipeline, family, variant)
    outcome = train(session, config, trainee, Dataset.of(session, config), Quiet())
    rows = [json.loads(line) for line in session.paths.metrics.read_text().splitlines()]
    losses = [row["val_loss"] for row in rows if row.get("val_loss") is not None]
    assert losses[-1] < losses[0]
    assert outcome.state == "done"
    if asked is SMALL_LORA:
        assert [path.name for path in outcome.files] == ["mine.safetensors"]
        return
    if asked is WORD:
        assert read_file(outcome.files[0]).slots == {"emb_params": ("emb_params", 3, 256)}
        return
    assert [stage.name for stage in trainee.stages()] == ["text_encoder", "network"]
    again, *_ = opened(next(path for path in outcome.files if path.suffix == ".safetensors"))
    ids = torch.tensor([pipeline.tokenizer(unseen.WORD, padding="max_length").input_ids])
    torch.testing.assert_close(again.text_encoder(ids)[0], pipeline.text_encoder(ids)[0], atol=2e-2, rtol=1e-2)
