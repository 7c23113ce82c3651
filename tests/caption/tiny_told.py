"""Tiny random models of the kinds that are told what to do, of the true class, with true processor and tokenizer files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import transformers as tr
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.caption.tiny import SIDE_PX, TEXT, VISION, gpt_tokenizer, saved

# As SmolVLM's: the speaker's name, then the picture and the words.
CHAT = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}{% else %}<image>{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
PARTS = ("bboxes", "description_with_bboxes", "description_with_bboxes_or_polygons", "description_with_polygons", "ocr",
         "phrase_grounding", "polygons", "pure_text")  # fmt: skip
LOCATIONS = 1000


def bart_tokenizer() -> Any:
    """Bytes and a few merges, as BART has it, with Florence-2's signs for places."""
    merges = [("Ġ", "t"), ("Ġ", "a"), ("c", "a"), ("ca", "t"), ("d", "o"), ("do", "g")]
    vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    for token in (*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)):
        vocab[token] = len(vocab)
    raw = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    raw.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    signs = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    made = tr.PreTrainedTokenizerFast(tokenizer_object=raw, **signs, extra_special_tokens={"image_token": "<image>"})
    made.add_tokens([f"<loc_{n}>" for n in range(LOCATIONS)], special_tokens=True)
    return made


def florence2(folder: Path) -> Path:
    """Its vision tower has two stages, so that a picture is 4 x 4 places and one for the whole."""
    tokenizer = bart_tokenizer()
    images = tr.CLIPImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX}, do_center_crop=False)
    images.image_seq_length = 17
    parsing: dict[str, Any] = {part: {} for part in PARTS}
    processor = tr.Florence2Processor(images, tokenizer, post_processor_config=parsing)
    ids: dict[str, Any] = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    text = tr.BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=96, **ids,
    )  # fmt: skip
    vision = {
        "depths": [1, 1], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1], "patch_prenorm": [False, True],
        "embed_dim": [8, 16], "num_heads": [2, 2], "num_groups": [2, 2], "window_size": 4, "projection_dim": 16, "drop_path_rate": 0.0,
    }  # fmt: skip
    config = tr.Florence2Config(text_config=text.to_dict(), vision_config=vision, image_token_id=tokenizer.image_token_id)
    model = tr.Florence2ForConditionalGeneration(config)
    model.generation_config = tr.GenerationConfig(**ids, forced_bos_token_id=0)
    return saved(folder, model, processor)


def idefics3(folder: Path) -> Path:
    """Pictures become tiles of 32 pixels with 2 x 2 places each, two tiles along the longer side."""
    tokenizer = gpt_tokenizer()
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    signs = ["<|im_start|>", "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *tiles]
    tokenizer.add_tokens(signs, special_tokens=True)
    end, place = (tokenizer.convert_tokens_to_ids(sign) for sign in ("<end_of_utterance>", "<image>"))
    images = tr.Idefics3ImageProcessor(size={"longest_edge": 2 * SIDE_PX}, max_image_size={"longest_edge": SIDE_PX})
    processor = tr.Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=CHAT)
    text = tr.LlamaConfig(
        **TEXT, vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=end,
        pad_token_id=0,
    )  # fmt: skip
    config = tr.Idefics3Config(text_config=text.to_dict(), vision_config={**VISION}, scale_factor=2, image_token_id=place)
    model = tr.Idefics3ForConditionalGeneration(config)
    model.generation_config = tr.GenerationConfig(bos_token_id=1, pad_token_id=0, eos_token_id=end)
    return saved(folder, model, processor)


TOLD = {"florence-2": florence2, "idefics3": idefics3}


def finder(folder: Path, said: str = "cat<loc_100><loc_200><loc_500><loc_600>dog<loc_10><loc_20><loc_300><loc_40>") -> Path:
    """A Florence-2 that writes these tokens whatever it is shown; each stands there once."""
    florence2(folder)
    tokenizer = bart_tokenizer()
    written = tokenizer(f"<s>{said}</s>", add_special_tokens=False).input_ids
    usual = tr.GenerationConfig.from_pretrained(folder)
    usual.sequence_bias = [[[before, after], 1000.0] for before, after in itertools.pairwise(written)]  # pyright: ignore[reportAttributeAccessIssue]
    usual.save_pretrained(folder)
    return folder
