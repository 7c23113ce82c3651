"""Adapters for captioners: they learn, are written, found, put on and taken off; in another language on the starter's captioner."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modules.caption.adapters import PLACE, adapters, describe_adapter
from modules.caption.adapting import adapted
from modules.caption.installed import describe
from modules.caption.loading import Captioner, load
from modules.caption.new_words import longer, wanted_words
from modules.caption.writing import write
from modules.faults import ModelFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.processing.caption_plan import resolve_caption
from modules.processing.captions import run_captions
from modules.request.caption import CaptionAdapter, CaptionRequest
from modules.request.train import TrainConfig
from modules.settings import Settings
from modules.train.methods.captioner import CaptionerLora, picture
from modules.train.trainee import Example, StepNoise
from tests.caption import tiny
from tests.processing.caption_backend import Control, desk_of
from tests.processing.pictures import data_of
from tests.train import unseen
from tests.train.language_trial import CAPTIONER, GREEDY, captioner, learn, said

KINDS = ("blip", "blip-2", "vit-gpt2", "git")
TEXTS = ("кот на синем", "红色的狗", "ein größerer hund", "a small dog")
CONFIG = {"method": "captioner_lora", "network_dim": 4, "network_alpha": 8, "learning_rate": 2e-2}


@pytest.fixture(scope="module")
def tiny_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Captioner]:
    base, made = tmp_path_factory.mktemp("captioners"), dict[str, Path]()

    def make(kind: str) -> Captioner:
        if kind not in made:
            made[kind] = tiny.MAKERS[kind](base / kind)
        return load(describe(made[kind]), device="cpu", dtype="float32")

    return make


def examples() -> list[Example]:
    rows: list[Example] = []
    for number, text in enumerate(TEXTS):
        pixels = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(number)) * 2 - 1
        rows.append(Example(pixels=pixels, caption=text, original_size=(32, 32), crop_top_left=(0, 0), target_size=(32, 32)))
    return rows


def state_of(on: Captioner) -> tuple[dict[str, torch.Tensor], list[tuple[str, int]]]:
    """Every number and which object stands where."""
    return {n: t.clone() for n, t in on.model.state_dict().items()}, [(n, id(m)) for n, m in on.model.named_modules()]


def taught(on: Captioner, steps: int, **changed: Any) -> tuple[CaptionerLora, list[float]]:
    trainee = CaptionerLora(TrainConfig.from_data({**CONFIG, **changed}), on, captions=TEXTS)
    trainee.begin(trainee.stages()[0])
    optimizer = torch.optim.AdamW([{"params": group.params, "lr": group.lr} for group in trainee.parameters()])
    losses: list[float] = []
    for step in range(steps):
        loss = trainee.loss(examples(), StepNoise(0, step, (0, 1, 2, 3))).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    on.model.eval()
    return trainee, losses


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_is_written_put_on_and_taken_off_exactly(kind: str, tiny_of: Callable[[str], Captioner], tmp_path: Path):
    base = tiny_of(kind)
    images = [picture(example) for example in examples()]
    numbers, places = state_of(base)
    before = said(base, images)
    trainee, losses = taught(base, 8)
    assert losses[-1] < 0.8 * losses[0]
    vision = [name for name in trainee.state_dict() if "vision" in name or "image_encoder" in name or ".encoder.layers" in name]
    assert all("language_model" in name for name in vision), "the vision tower is left alone"
    after = said(trainee.captioner, images)
    folder = trainee.export(tmp_path / "other", {"language": "x"})[0]
    trainee.close()
    found = describe_adapter(folder)
    assert (found.kind, found.language, found.rank, found.new_words) == (kind, "x", 4, len(trainee.new))
    assert bool(found.new_words) is (kind in ("blip", "git"))
    for _ in range(2):
        same, where = state_of(base)
        assert where == places
        assert all(torch.equal(numbers[name], tensor) for name, tensor in same.items())
        assert said(base, images) == before
        with adapted(base, CaptionAdapter(name="other", path=str(folder))) as other:
            assert said(other, images) == after != before


@pytest.mark.parametrize("kind", ["blip-2", "vit-gpt2"])
def test_an_adapter_without_new_words_loads_in_plain_peft(kind: str, tiny_of: Callable[[str], Captioner], tmp_path: Path):
    from peft import PeftModel

    trainee, _ = taught(tiny_of(kind), 3)
    images = [picture(example) for example in examples()]
    ours, folder = said(trainee.captioner, images), trainee.export(tmp_path / "plain", {})[0]
    other = tiny_of(kind)
    plain: Any = PeftModel.from_pretrained(other.model, folder)
    assert said(dataclasses.replace(other, model=plain.base_model.model), images) == ours


def test_a_state_is_gone_on_with(tiny_of: Callable[[str], Captioner]):
    first, _ = taught(tiny_of("blip"), 3)
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    second, _ = taught(tiny_of("blip"), 0)
    second.load_state_dict(state)
    rng = StepNoise(0, 9, (0, 1, 2, 3))
    assert torch.equal(first.loss(examples(), rng), second.loss(examples(), rng))
    with pytest.raises(ModelFault, match="Train anew"):
        second.load_state_dict({name: tensor for name, tensor in state.items() if name != "new_words.rows"})


def test_cached_pictures_and_captions_give_the_same_loss(tiny_of: Callable[[str], Captioner]):
    trainee, _ = taught(tiny_of("git"), 0)
    rows = examples()
    pixels, texts = trainee.encode_pixels(rows), trainee.encode_text([row.caption for row in rows])
    kept = [dataclasses.replace(r, pixels=None, latents=p, text=t) for r, p, t in zip(rows, pixels, texts, strict=True)]
    rng = StepNoise(0, 0, (0, 1, 2, 3))
    assert torch.equal(trainee.loss(rows, rng), trainee.loss(kept, rng))


def test_only_what_cannot_be_written_gets_new_words(tiny_of: Callable[[str], Captioner]):
    tokenizer = tiny_of("blip").tokenizer
    assert wanted_words(tokenizer, ["a small dog on blue", "the redhouse"]) == []
    assert wanted_words(tiny_of("vit-gpt2").tokenizer, TEXTS) == []
    words = wanted_words(tokenizer, TEXTS)
    assert {"кот", "größerer", "红色的狗", "к", "##к"} <= set(words)
    more = longer(tokenizer, words, len(tokenizer))
    for text in TEXTS:
        assert more.unk_token not in more.tokenize(text)
        assert more.decode(more(text).input_ids, skip_special_tokens=True) == text
    assert more.tokenize("ток") == ["т", "##о", "##к"], "words that come later are spelled"
    assert tokenizer.tokenize("кот") == ["[UNK]"], "the base's own is as it was"


def test_parts_can_be_chosen(tiny_of: Callable[[str], Captioner]):
    names = taught(tiny_of("blip-2"), 0, target_blocks=["qformer"])[0].lora
    assert names
    assert all(name.startswith(("qformer", "language_projection")) for name in names)
    assert any("vision_model" in name for name in taught(tiny_of("blip"), 0, target_blocks=["vision"])[0].lora)
    with pytest.raises(RequestFault, match="its parts are text, vision"):
        taught(tiny_of("blip"), 0, target_blocks=["nowhere"])
    with pytest.raises(RequestFault, match="cannot be adapted"):
        CaptionerLora(TrainConfig(), tiny_of("clip"))


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that says in German what is on twelve pictures; trained by the real loop on the starter's captioner."""
    pairs = [
        (unseen.drawing(unseen.GROUNDS[ground], size), f"eine {called} raute auf {word}")
        for ground, word in GERMAN.items()
        for size, called in ((0.95, "große"), (0.5, "kleine"))
    ]
    return learn(tmp_path_factory.mktemp("train"), pairs, max_train_steps=80, train_batch_size=6, learning_rate=6e-3)


GERMAN = {"white": "weiß", "blue": "blau", "yellow": "gelb", "green": "grün", "red": "rot", "black": "schwarz"}


def test_a_captioner_answers_in_another_language_through_a_job(german: Path, folders: Folders):
    place = folders.models / PLACE / "deutsch"
    shutil.copytree(german, place)
    rows, refused = adapters(folders)
    assert ([row.name for row in rows], rows[0].base, refused) == (["deutsch"], CAPTIONER.name, {})
    desk = desk_of(folders)
    shown = [unseen.drawing(unseen.GROUNDS[ground], 0.92, 3, -2) for ground in GERMAN]  # not the ones that were trained
    references = [desk.inputs.put(data_of(image)) for image in shown]

    def ask(**asked: Any) -> tuple[list[str], dict[str, Any]]:
        plan = resolve_caption(CaptionRequest(images=references, num_beams=1, **asked), Settings(), folders, desk.inputs)
        _, result = run_captions({"resolved": plan.to_data()}, Control(), desk)
        return [entry["caption"] for entry in result["captions"]], result

    plain, _ = ask()
    spoken, result = ask(adapter="Deutsch")
    assert result["notes"] == [f"{CAPTIONER.name} with the adapter deutsch in float32"]
    assert sum(text == f"eine große raute auf {word}" for text, word in zip(spoken, GERMAN.values(), strict=True)) >= 4, spoken
    assert ask()[0] == plain
    assert not set(plain) & set(spoken)


def test_what_does_not_fit_is_refused_in_words(german: Path, folders: Folders, tiny_of: Callable[[str], Captioner]):
    home = folders.models / PLACE
    shutil.copytree(german, home / "deutsch")
    shutil.copytree(german, home / "halb")
    (home / "halb" / "adapter_model.safetensors").unlink()
    desk = desk_of(folders)
    reference = desk.inputs.put(data_of(Image.new("RGB", (64, 64), "white")))

    def plan(**asked: Any) -> Any:
        return resolve_caption(CaptionRequest(images=[reference], **asked), Settings(), folders, desk.inputs)

    with pytest.raises(UnknownName, match="did you mean deutsch"):
        plan(adapter="deutsh")
    with pytest.raises(ModelFault, match=r"halb has no adapter_model\.safetensors"):
        plan(adapter="halb")
    with pytest.raises(RequestFault, match="instead of clip"):
        plan(adapter="deutsch", model="clip")
    about = json.loads((home / "deutsch" / "darkroom.json").read_text(encoding="utf-8"))
    (home / "deutsch" / "darkroom.json").write_text(json.dumps({**about, "kind": "git"}), encoding="utf-8")
    with pytest.raises(RequestFault, match="was trained for captioners of the kind git"):
        plan(adapter="deutsch", model=CAPTIONER.name)
    other = tiny_of("blip")
    numbers, places = state_of(other)
    with pytest.raises(ModelFault, match="trained for"), adapted(other, CaptionAdapter(name="deutsch", path=str(home / "deutsch"))):
        pass
    assert state_of(other)[1] == places
    assert all(torch.equal(numbers[name], tensor) for name, tensor in other.model.state_dict().items())
    assert write(captioner(), [Image.new("RGB", (64, 64))], "", GREEDY)
