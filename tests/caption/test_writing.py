"""Every kind that writes, token for token against transformers called directly: greedy, beams, sampling; batches, candidates, words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image

from modules.caption import CAPTIONERS
from modules.caption.installed import describe
from modules.caption.loading import Captioner, load
from modules.caption.writing import Candidate, Watch, write
from modules.faults import Cancelled, RequestFault
from modules.request.caption import Writing
from tests.caption import tiny

GREEDY = Writing(
    min_length=0, max_length=12, num_beams=1, do_sample=False, top_k=50, top_p=1.0, temperature=1.0, repetition_penalty=1.0,
    length_penalty=1.0, early_stopping=True,
)  # fmt: skip
BEAMS = dataclasses.replace(GREEDY, num_beams=3, length_penalty=0.6, repetition_penalty=1.3, num_return_sequences=2)
SAMPLED = dataclasses.replace(GREEDY, do_sample=True, temperature=1.4, top_k=20, top_p=0.9, num_return_sequences=2)
LONG = dataclasses.replace(GREEDY, min_length=10, max_length=11, repetition_penalty=1.5)
WAYS = {"greedy": GREEDY, "beams": BEAMS, "sampled": SAMPLED, "long": LONG}
GIVEN: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 12, "num_beams": 1, "do_sample": False},
    "beams": {
        "max_new_tokens": 12, "num_beams": 3, "do_sample": False, "length_penalty": 0.6, "repetition_penalty": 1.3, "early_stopping": True,
        "num_return_sequences": 2,
    },
    "sampled": {
        "max_new_tokens": 12, "num_beams": 1, "do_sample": True, "temperature": 1.4, "top_k": 20, "top_p": 0.9, "num_return_sequences": 2,
    },
    "long": {"max_new_tokens": 11, "min_new_tokens": 10, "num_beams": 1, "do_sample": False, "repetition_penalty": 1.5},
}  # fmt: skip
ASKED = {
    "blip": "",
    "blip-vqa": "what is in the photo ?",
    "blip-2": "",
    "vit-gpt2": "",
    "git": "",
    "florence-2": "<CAPTION>",
    "idefics3": "What is it?",
}
BEGUN = {"blip": "a photo of", "blip-2": "a cat", "git": "the cat is"}
QUESTIONS = {"blip-vqa": "what is it ?", "blip-2": "Question: what is it? Answer:"}


@dataclasses.dataclass
class Plain:
    """transformers as anyone would call it, from the same folder."""

    kind: str
    folder: Path

    def __post_init__(self) -> None:
        kind = CAPTIONERS.get(self.kind)
        cls: Any = getattr(transformers, kind.architecture)
        self.model = cls.from_pretrained(self.folder, dtype=torch.float32, local_files_only=True).eval()
        if self.kind == "vit-gpt2":
            self.images: Any = transformers.AutoImageProcessor.from_pretrained(self.folder, local_files_only=True)
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        else:
            self.processor: Any = transformers.AutoProcessor.from_pretrained(self.folder, local_files_only=True)
            self.tokenizer = self.processor.tokenizer

    def inputs(self, images: list[Image.Image], text: str) -> dict[str, Any]:
        if self.kind == "vit-gpt2":
            return dict(self.images(images=images, return_tensors="pt"))
        if self.kind == "git":
            found = dict(self.processor(images=images, return_tensors="pt"))
            if text:
                ids = [self.tokenizer.cls_token_id, *self.tokenizer(text, add_special_tokens=False).input_ids]
                found["input_ids"] = torch.tensor([ids] * len(images))
            return found
        if self.kind == "idefics3":
            said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
            prompt = self.processor.apply_chat_template(said, add_generation_prompt=True)
            rows = [[image] for image in images]
            return dict(self.processor(images=rows, text=[prompt] * len(rows), padding=True, padding_side="left", return_tensors="pt"))
        if text or self.kind == "blip-2":
            return dict(self.processor(images=images, text=[text] * len(images), return_tensors="pt"))
        return dict(self.processor(images=images, return_tensors="pt"))

    def texts(self, images: list[Image.Image], text: str, **given: Any) -> tuple[list[str], torch.Tensor]:
        """(decoded, sequences)."""
        inputs = self.inputs(images, text)
        made = self.model.generate(**inputs, **given)
        begin = inputs["input_ids"].shape[1] if self.kind == "idefics3" else 0  # a reply is told without what was said before it
        return [" ".join(t.split()) for t in self.tokenizer.batch_decode(made[:, begin:], skip_special_tokens=True)], made


@pytest.fixture(scope="module")
def plain_of(model_of: Callable[[str], Path]) -> Callable[[str], Plain]:
    made: dict[str, Plain] = {}

    def make(kind: str) -> Plain:
        if kind not in made:
            made[kind] = Plain(kind, model_of(kind))
        return made[kind]

    return make


def in_rows(sequences: torch.Tensor, candidates: list[Candidate]) -> None:
    """Each candidate's tokens stand in its row; the rows are in the same order."""
    for row, candidate in zip(sequences.tolist(), candidates, strict=True):
        text, wanted = " ".join(map(str, row)), " ".join(map(str, candidate.tokens))
        assert f" {text} ".find(f" {wanted} ") >= 0, (row, candidate.tokens)


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("way", ["greedy", "beams", "long"])
def test_as_transformers_writes(kind: str, way: str, captioner_of: Any, plain_of: Any, pictures: list[Image.Image]):
    plain: Plain = plain_of(kind)
    wanted, sequences = plain.texts(pictures, ASKED[kind], **GIVEN[way])
    found = write(captioner_of(kind), pictures, ASKED[kind], WAYS[way])
    flat = [candidate for row in found for candidate in row]
    assert [candidate.text for candidate in flat] == wanted
    in_rows(sequences, flat)
    assert len({candidate.tokens for candidate in flat}) > 1, "a model that says the same of everything proves nothing"


@pytest.mark.parametrize("kind", ASKED)
def test_samples_as_transformers_does_from_the_same_seed(kind: str, captioner_of: Any, plain_of: Any, pictures: list[Image.Image]):
    plain: Plain = plain_of(kind)
    found = write(captioner_of(kind), pictures, ASKED[kind], SAMPLED, seed=5)
    for image, candidates in zip(pictures, found, strict=True):
        torch.manual_seed(5)
        wanted, _ = plain.texts([image], ASKED[kind], **GIVEN["sampled"])
        assert sorted(candidate.text for candidate in candidates) == sorted(wanted)
        assert [c.score for c in candidates] == sorted((c.score for c in candidates), reverse=True)


def test_sampling_leaves_the_random_numbers_of_others_alone(captioner_of: Any, pictures: list[Image.Image]):
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    write(captioner_of("blip"), pictures[:1], "", SAMPLED, seed=9)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("kind", BEGUN)
@pytest.mark.parametrize("way", ["greedy", "beams"])
def test_goes_on_from_a_beginning(kind: str, way: str, captioner_of: Any, plain_of: Any, pictures: list[Image.Image]):
    wanted, _ = plain_of(kind).texts(pictures, BEGUN[kind], **GIVEN[way])
    found = [c.text for row in write(captioner_of(kind), pictures, BEGUN[kind], WAYS[way]) for c in row]
    assert found == wanted
    assert all(text.startswith(BEGUN[kind]) for text in found)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_an_answer_comes_without_its_question(kind: str, captioner_of: Any, plain_of: Any, pictures: list[Image.Image]):
    plain: Plain = plain_of(kind)
    _, sequences = plain.texts(pictures, QUESTIONS[kind], **GIVEN["greedy"])
    begin = plain.inputs(pictures, QUESTIONS[kind])["input_ids"].shape[1] if kind == "blip-2" else 0
    wanted = [" ".join(t.split()) for t in plain.tokenizer.batch_decode(sequences[:, begin:], skip_special_tokens=True)]
    assert [row[0].text for row in write(captioner_of(kind), pictures, QUESTIONS[kind], GREEDY, answer=True)] == wanted
    assert not any(text.startswith(("Question", "what is it")) for text in wanted)


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("way", ["greedy", "beams", "sampled"])
def test_a_batch_of_mixed_sizes_is_as_its_pictures_alone(kind: str, way: str, captioner_of: Any, pictures: list[Image.Image]):
    together = write(captioner_of(kind), pictures, ASKED[kind], WAYS[way], seed=3)
    alone = [write(captioner_of(kind), [image], ASKED[kind], WAYS[way], seed=3)[0] for image in pictures]
    assert [[c.tokens for c in row] for row in together] == [[c.tokens for c in row] for row in alone]
    assert [c.score for row in together for c in row] == pytest.approx([c.score for row in alone for c in row], abs=1e-4)


@pytest.mark.parametrize("way", ["greedy", "beams"])
def test_scores_are_the_mean_of_the_transition_scores(way: str, captioner_of: Any, plain_of: Any, pictures: list[Image.Image]):
    plain: Plain = plain_of("git")
    made = plain.model.generate(**plain.inputs(pictures, ""), **GIVEN[way], return_dict_in_generate=True, output_logits=True)
    beams = getattr(made, "beam_indices", None)
    steps = plain.model.compute_transition_scores(made.sequences, made.logits, beams, normalize_logits=True)
    found = [c for row in write(captioner_of("git"), pictures, "", WAYS[way]) for c in row]
    wanted = [float(row[: len(c.tokens)].mean()) for row, c in zip(steps, found, strict=True)]
    assert [c.score for c in found] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("kind", ASKED)
def test_words_come_as_they_are_written(kind: str, captioner_of: Any, pictures: list[Image.Image]):
    told: list[str] = []
    found = write(captioner_of(kind), pictures[:1], ASKED[kind], GREEDY, watch=Watch(words=told.append))
    assert " ".join("".join(told).split()) == found[0][0].text
    if kind in ("blip", "git"):  # the others' random bytes hold few spaces, and words end at those
        assert len(told) > 2


@pytest.mark.parametrize("how", [BEAMS, dataclasses.replace(SAMPLED, num_return_sequences=3)])
def test_no_words_are_told_where_several_captions_are_followed(how: Writing, captioner_of: Any, pictures: list[Image.Image]):
    told: list[str] = []
    write(captioner_of("blip"), pictures[:1], "", how, watch=Watch(words=told.append))
    assert told == []


@pytest.mark.parametrize(
    "how", [dataclasses.replace(LONG, max_length=30, min_length=30), dataclasses.replace(BEAMS, max_length=30, min_length=30)]
)
def test_stops_at_the_next_word(how: Writing, captioner_of: Any, pictures: list[Image.Image]):
    counts: list[int] = []
    watch = Watch(stopped=lambda: len(counts) >= 4, token=counts.append)
    with pytest.raises(Cancelled):
        write(captioner_of("blip"), pictures, "", how, watch=watch)
    assert counts == [1, 2, 3, 4]


def test_no_more_is_written_than_the_model_has_places_for(captioner_of: Any, pictures: list[Image.Image]):
    many = dataclasses.replace(GREEDY, min_length=500, max_length=500)
    assert len(write(captioner_of("blip"), pictures[:1], "", many)[0][0].tokens) == 63
    assert len(write(captioner_of("blip"), pictures[:1], "a photo of", many)[0][0].tokens) == 60


@pytest.mark.parametrize("kind", ["blip", "blip-vqa", "git", "blip-2"])
def test_a_text_that_is_too_long_is_refused(kind: str, captioner_of: Any, pictures: list[Image.Image]):
    with pytest.raises(RequestFault, match=r"prompt: is \d+ tokens long"):
        write(captioner_of(kind), pictures[:1], "cat " * 120, GREEDY)


@pytest.mark.parametrize("kind", ASKED)
def test_half_precision(kind: str, model_of: Callable[[str], Path], pictures: list[Image.Image]):
    half = load(describe(model_of(kind)), device="cpu", dtype="bfloat16")
    assert next(half.model.parameters()).dtype == torch.bfloat16
    assert all(len(row[0].tokens) > 1 for row in write(half, pictures, ASKED[kind], GREEDY))


def test_an_old_blip2_snapshot_sees_the_picture(tmp_path: Path, captioner_of: Callable[[str], Captioner], pictures: list[Image.Image]):
    """Without the places of the queries transformers would not look at it, and say nothing."""
    old = load(describe(tiny.blip2(tmp_path / "old", old=True)), device="cpu", dtype="float32")
    found = write(old, pictures, "", GREEDY)
    assert found == write(captioner_of("blip-2"), pictures, "", GREEDY)
    assert len({row[0].tokens for row in found}) > 1
    bare = load(describe(tiny.blip2(tmp_path / "bare", bare=True)), device="cpu", dtype="float32")
    assert bare.model.config.image_token_index == bare.tokenizer.convert_tokens_to_ids("<image>") != bare.tokenizer.unk_token_id
    assert len({row[0].tokens for row in write(bare, pictures, "", GREEDY)}) > 1
