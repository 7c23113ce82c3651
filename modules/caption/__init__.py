"""Models that say what a picture shows: captions, answers to questions, how well a text fits; and ranked words for a prompt.

Knows the kinds of such models, how one is recognised and run, and the word lists; knows nothing about requests, jobs or where pictures
come from. Start reading at `CAPTIONERS` and `installed.captioners` (no torch), then `loading.load` and `writing.write`.
"""

from modules.caption import blip, blip2, blip_match, blip_vqa, clip, florence2, git, idefics3, tagger, vit_gpt2
from modules.caption.kind import ANSWER, ATTEND, CAPTION, FIND, MATCH, OCR, PROMPT, TAGS, WORDS, Kind, Published
from modules.registry import Registry

__all__ = ["ANSWER", "ATTEND", "CAPTION", "CAPTIONERS", "FIND", "MATCH", "OCR", "PROMPT", "TAGS", "WORDS", "Kind", "Published"]


def _captioners() -> Registry[Kind]:
    registry: Registry[Kind] = Registry("kind of captioner")
    for module in (blip, blip_vqa, blip_match, blip2, vit_gpt2, git, florence2, idefics3, tagger, clip):
        registry.add(module.KIND.id, module.KIND)
    registry.freeze()
    return registry


CAPTIONERS = _captioners()
