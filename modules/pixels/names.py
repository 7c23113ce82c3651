"""What picture files are called: A1111's name patterns ([seed], [date], ...) and names that every file system takes.

Knows nothing about the disk. Start reading at `fill_pattern`, then `safe_part`; `PATTERNS` lists the tokens.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from PIL import Image

from modules.prompts.styles import PLACEHOLDER, Style
from modules.request import ResolvedRequest

PART_CHARS = 128
PART_BYTES = 200
_BAD = frozenset('#<>:"/\\|?*')
# Control, invisible and private characters, line and paragraph ends; the two joiners are part of words and emoji.
_BAD_KINDS = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_TOKEN = re.compile(r"\[([a-z_]+)((?:<[^<>]*>)*)\]", re.IGNORECASE)
_ARGUMENT = re.compile(r"<([^<>]*)>")
Arguments = list[str]


@dataclass(frozen=True)
class Scene:
    """What patterns may speak of. styles: the saved texts of the run's styles; began: when the job saved its first picture."""

    resolved: ResolvedRequest
    index: int
    image: Image.Image
    now: datetime
    began: datetime
    styles: tuple[Style, ...] = ()

    @property
    def at(self) -> int:
        """Place in all_seeds and all_prompts; a grid speaks for the first picture."""
        return max(self.index, 0)

    @property
    def prompt(self) -> str:
        return self.resolved.all_prompts[self.at]

    @property
    def negative_prompt(self) -> str:
        return self.resolved.all_negative_prompts[self.at]


def _prompt_without_styles(scene: Scene) -> str:
    prompt = scene.prompt
    for style in scene.styles:
        for part in filter(None, (part.strip() for part in style.prompt.split(PLACEHOLDER))):
            prompt = prompt.replace(part, "").replace(", ,", ",").strip().strip(",").strip()
    return prompt


def _words(scene: Scene) -> str:
    words = [word for word in re.split(r"[\W_]+", scene.prompt) if word] or ["empty"]
    return " ".join(words[: scene.resolved.settings["directories_max_prompt_words"]])


def _digest(data: str | bytes, arguments: Arguments, length: int) -> str:
    """SHA-256 in hexadecimal, as many digits as the first argument says."""
    wanted = int(arguments[0]) if arguments and re.fullmatch("[0-9]{1,2}", arguments[0]) else length
    return hashlib.sha256(data.encode("utf-8", "replace") if isinstance(data, str) else data).hexdigest()[:wanted]


def _date_time(scene: Scene, arguments: Arguments) -> str:
    """[datetime], [datetime<Format>], [datetime<Format><Time Zone>]; what cannot be read takes its default."""
    now = scene.now
    if len(arguments) > 1:
        try:
            now = now.astimezone(ZoneInfo(arguments[1]))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    try:
        return now.strftime((arguments[0] if arguments else "") or "%Y%m%d%H%M%S")
    except ValueError:
        return now.strftime("%Y%m%d%H%M%S")


def _has_prompt(scene: Scene, arguments: Arguments) -> str:
    """[hasprompt<word|default>...]: each word that is in the prompt, else its default."""
    prompt = scene.prompt.lower()
    pairs = (argument.partition("|") for argument in arguments)
    return "".join(word if word and word.lower() in prompt else default for word, _, default in pairs)


def _sampler_and_schedule(scene: Scene) -> str:
    name, schedule = scene.resolved.sampler_name, scene.resolved.scheduler
    return name if schedule == "Automatic" else f"{name} {schedule}"


# Each row: token -> (scene, arguments in <...>) -> text, or None to drop the token together with the text before it.
PATTERNS: dict[str, Callable[[Scene, Arguments], object]] = {
    "seed": lambda s, _: s.resolved.all_seeds[s.at],
    "seed_first": lambda s, _: s.resolved.all_seeds[0],
    "seed_last": lambda s, _: s.resolved.all_seeds[-1] if len(s.resolved.all_seeds) > 1 else None,
    "steps": lambda s, _: s.resolved.steps,
    "cfg": lambda s, _: s.resolved.cfg_scale,
    "width": lambda s, _: s.image.width,
    "height": lambda s, _: s.image.height,
    "styles": lambda s, _: ", ".join(s.resolved.styles) or "None",
    "sampler": lambda s, _: s.resolved.sampler_name,
    "scheduler": lambda s, _: s.resolved.scheduler,
    "sampler_scheduler": lambda s, _: _sampler_and_schedule(s),
    "model_hash": lambda s, _: s.resolved.checkpoint.short_hash or "",
    "model_name": lambda s, _: s.resolved.checkpoint.model_name,
    "date": lambda s, _: s.now.strftime("%Y-%m-%d"),
    "datetime": _date_time,
    "job_timestamp": lambda s, _: s.began.strftime("%Y%m%d%H%M%S"),
    "prompt": lambda s, _: s.prompt.replace(" ", "_"),
    "prompt_spaces": lambda s, _: s.prompt,
    "prompt_no_styles": lambda s, _: _prompt_without_styles(s),
    "prompt_words": lambda s, _: _words(s),
    "prompt_hash": lambda s, a: _digest(s.prompt, a, 8),
    "negative_prompt_hash": lambda s, a: _digest(s.negative_prompt, a, 8),
    "full_prompt_hash": lambda s, a: _digest(f"{s.prompt} {s.negative_prompt}", a, 8),
    "batch_number": lambda s, _: s.at % s.resolved.batch_size + 1 if s.resolved.batch_size > 1 else None,
    "batch_size": lambda s, _: s.resolved.batch_size,
    "generation_number": lambda s, _: s.at + 1 if len(s.resolved.all_seeds) > 1 else None,
    "hasprompt": _has_prompt,
    "denoising": lambda _, __: None,  # there is none without a picture to begin from
    "none": lambda _, __: "",
    "image_hash": lambda s, a: _digest(s.image.tobytes(), a, 64),
}


def fill_pattern(pattern: str, scene: Scene) -> str:
    """The pattern with its tokens replaced; unknown tokens stay as they are. Text from tokens holds no "/".

    A token that does not apply drops itself and the text before it, as A1111's does.
    """
    filled, at = "", 0
    for token in _TOKEN.finditer(pattern):
        before, at = pattern[at : token.start()], token.end()
        row = PATTERNS.get(token.group(1).lower())
        value = token.group() if row is None else row(scene, _ARGUMENT.findall(token.group(2)))
        if value is not None:
            filled += before + (token.group() if row is None else _clean(str(value)[: 4 * PART_CHARS]))
    return filled + pattern[at:]


def _clean(text: str) -> str:
    """Without characters that some file system, terminal or file list cannot take."""
    plain = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    return "".join("_" if c in _BAD or (unicodedata.category(c) in _BAD_KINDS and c not in _JOINERS) else c for c in plain)


def safe_part(text: str) -> str:
    """One part of a path that every file system takes: no reserved characters or names, at most PART_CHARS and PART_BYTES.

    "" when nothing is left. Never ".", ".." or a hidden name.
    """
    cut = _clean(text[: 4 * PART_CHARS]).lstrip(" .")[:PART_CHARS]
    whole = cut.encode()[:PART_BYTES].decode("utf-8", "ignore").rstrip(" .")
    return f"_{whole[: PART_CHARS - 1]}" if _RESERVED.fullmatch(whole) else whole
