"""Learnt words among token ids, and their vectors inside text encoders of the true classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, T5Config, T5EncoderModel

from modules.faults import ModelFault
from modules.prompts.chunks import PLACEHOLDER
from modules.prompts.embeddings import Embeddings, inserted
from modules.weights.embeddings import Embedding

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
CLIP = {**SIZES, "vocab_size": 4216, "bos_token_id": 4214, "eos_token_id": 4215, "pad_token_id": 4215}


@pytest.fixture(scope="module")
def tokenizer(starter_path: Path) -> Any:
    return CLIPTokenizer.from_pretrained(starter_path / "tokenizer", local_files_only=True)


@pytest.fixture(scope="module")
def encoder() -> Any:
    torch.manual_seed(0)
    return CLIPTextModel(CLIPTextConfig(**CLIP)).eval()


def ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


def words(folder: Path, tokenizer: Any, encoder: Any, **lengths: int) -> Embeddings:
    for name, n in lengths.items():
        save_file({"emb_params": torch.randn(n, 16)}, folder / f"{name.replace('__', ' ')}.safetensors")
    return Embeddings.of(sorted(folder.glob("*.safetensors")), {"text_encoder": tokenizer}, {"text_encoder": encoder})


def shown(found: list[int | Embedding]) -> list[int | str]:
    return [piece.name if isinstance(piece, Embedding) else piece for piece in found]


def test_names_are_found_by_tokens_the_longest_first(tmp_path: Path, tokenizer: Any, encoder: Any):
    found = words(tmp_path, tokenizer, encoder, ink=1, ink__wash=2, **{"zq-x": 3})
    plain = ids(tokenizer, "a cat")
    assert shown(found.split("text_encoder", ids(tokenizer, "a cat INK wash, ink zq-x"))) == [
        *plain,
        "ink wash",
        *ids(tokenizer, ","),
        "ink",
        "zq-x",
    ]
    assert sorted(found.names) == ["ink", "ink wash", "zq-x"]


def test_a_text_without_names_stays_what_it_is(tmp_path: Path, tokenizer: Any, encoder: Any):
    plain = ids(tokenizer, "a cat in a garden")
    assert words(tmp_path, tokenizer, encoder, ink=1).split("text_encoder", plain) == plain
    assert Embeddings.none().split("text_encoder", plain) == plain


def test_one_word_is_one_object_so_that_caches_know_it(tmp_path: Path, tokenizer: Any, encoder: Any):
    found = words(tmp_path, tokenizer, encoder, ink=1)
    first, second = (found.split("text_encoder", ids(tokenizer, "ink"))[0] for _ in range(2))
    assert first is second
    assert hash(first) == hash(second)


def test_what_does_not_fit_the_model_is_text_and_the_reason_is_kept(tmp_path: Path, tokenizer: Any, encoder: Any):
    save_file({"emb_params": torch.randn(1, 24)}, tmp_path / "wide.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"")
    found = words(tmp_path, tokenizer, encoder, ink=1)
    plain = ids(tokenizer, "wide")
    assert found.split("text_encoder", plain) == plain
    assert "width 24; this model's are 16" in found.skipped["wide"]
    assert "is empty" in found.skipped["broken"]


def test_a_file_damaged_since_is_a_fault_when_it_is_named(tmp_path: Path, tokenizer: Any, encoder: Any):
    found = words(tmp_path, tokenizer, encoder, ink=1)
    (tmp_path / "ink.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(ModelFault, match=r"ink\.safetensors cannot be read"):
        found.split("text_encoder", ids(tokenizer, "ink"))


def t5() -> Any:
    return T5EncoderModel(T5Config(vocab_size=100, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)).eval()


@pytest.mark.parametrize(
    ("make", "sequence"),
    [
        (lambda: CLIPTextModel(CLIPTextConfig(**CLIP)).eval(), [4214, 5, PLACEHOLDER, PLACEHOLDER, 7, 4215]),
        (lambda: CLIPTextModelWithProjection(CLIPTextConfig(**CLIP)).eval(), [4214, 5, PLACEHOLDER, PLACEHOLDER, 7, 4215]),
        (t5, [9, 5, PLACEHOLDER, PLACEHOLDER, 7, 1]),
    ],
    ids=["clip", "clip with projection", "t5"],
)
def test_vectors_of_known_tokens_do_what_those_tokens_do(make: Any, sequence: list[int]):
    torch.manual_seed(1)
    encoder = make()
    table = encoder.get_input_embeddings().weight
    real = [*sequence[:2], 30, 31, *sequence[4:]]
    with torch.inference_mode():
        expected, plain = encoder(torch.tensor([real])), encoder(torch.tensor([sequence]))
        with inserted(encoder, [(2, table[30:32].detach())]):
            found = encoder(torch.tensor([sequence]))
        after = encoder(torch.tensor([sequence]))
    assert all(torch.equal(a, b) for a, b in zip(found.to_tuple(), expected.to_tuple(), strict=True))
    assert not torch.equal(found[0], plain[0])
    assert torch.equal(after[0], plain[0])


def test_nothing_inserted_is_no_hook(encoder: Any):
    with inserted(encoder, []):
        assert not encoder.get_input_embeddings()._forward_hooks


def test_diffusers_own_loading_gives_the_same_answer(tmp_path: Path, tokenizer: Any, encoder: Any, starter_path: Path):
    """A word of three vectors, in diffusers' format: three new tokens there, one learnt word here."""
    import copy

    from diffusers.loaders import TextualInversionLoaderMixin

    class Pipeline(TextualInversionLoaderMixin):
        def __init__(self) -> None:
            self.tokenizer = CLIPTokenizer.from_pretrained(starter_path / "tokenizer", local_files_only=True)
            self.text_encoder = copy.deepcopy(encoder)
            self.components = {"tokenizer": self.tokenizer, "text_encoder": self.text_encoder}
            self.hf_device_map = None

    save_file({"zqword": torch.randn(3, 16)}, tmp_path / "zqword.safetensors")
    theirs = Pipeline()
    theirs.load_textual_inversion(str(tmp_path / "zqword.safetensors"), token="zqword")
    text = theirs.maybe_convert_prompt("a zqword", theirs.tokenizer)
    theirs.text_encoder.config.eos_token_id = 4215
    found = Embeddings.of([tmp_path / "zqword.safetensors"], {"text_encoder": tokenizer}, {"text_encoder": encoder})
    [cat, word] = found.split("text_encoder", ids(tokenizer, "a zqword"))
    with torch.inference_mode():
        expected = theirs.text_encoder(torch.tensor([theirs.tokenizer(text).input_ids]))[0]
        with inserted(encoder, [(2, word.vectors["text_encoder"])]):
            ours = encoder(torch.tensor([[4214, cat, *[PLACEHOLDER] * 3, 4215]]))[0]
    assert torch.equal(ours, expected)
