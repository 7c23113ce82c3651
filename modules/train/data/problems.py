"""What can be wrong with pictures, captions and sizes, each as a function that names the files. No torch; reads nothing from the disk.

A fatal problem keeps a training from starting. Start reading at `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from modules.families import FAMILIES
from modules.request.files import Checkpoint
from modules.request.train import TrainConfig
from modules.request.train_learning import CAPTIONER_LORA
from modules.train.data import captions
from modules.train.data.facts import alike
from modules.train.data.naming import in_order, same, stem_of
from modules.train.data.plan import Entry, Plan

LEAST_PX = 8  # one cell of a latent
ENLARGED = 1.35  # beyond this it shows
LOST = 0.4
MOST_TOKENS = 225
MOST_COMPARED = 3000  # pictures, by their looks; each with each
FAR = (0.74, 1.51)  # of the side a model was made for


@dataclass(frozen=True)
class Problem:
    """name: of the picture, "" when it is about all; kind: a word for programs; text: a sentence without the name; fatal: no training."""

    name: str
    kind: str
    text: str
    fatal: bool = False


@dataclass(frozen=True)
class Found:
    """What the checks look at. unused: names of files in the folder that are neither picture nor caption."""

    plan: Plan
    config: TrainConfig
    checkpoint: Checkpoint | None
    unused: tuple[str, ...] = ()


def unreadable(found: Found) -> Iterator[Problem]:
    """Files that are no pictures, or damaged ones."""
    for entry in found.plan.broken:
        text = f"{entry.facts.fault}; remove it or put a good copy in its place"
        yield Problem(_shown(entry), "unreadable", text, fatal=True)


def no_pictures(found: Found) -> Iterator[Problem]:
    """A folder with nothing in it."""
    if not found.plan.pictures and not any(not entry.is_prior for entry in found.plan.broken):
        yield Problem("", "no_pictures", "There are no pictures yet. Add some, ten to thirty are usual.", fatal=True)


def sizes(found: Found) -> Iterator[Problem]:
    """Pictures that are too small, or lose much of themselves."""
    for entry in (*found.plan.pictures, *found.plan.class_pictures):
        width, height = entry.facts.size
        cut = found.plan.cut(entry)
        name = _shown(entry)
        if min(cut.original) < LEAST_PX:
            shown = f"{width}x{height} pixels" if entry.box is None else f"cut to {cut.original[0]}x{cut.original[1]} pixels"
            yield Problem(name, "tiny", f"is only {shown}; nothing can be learnt from it", fatal=True)
        elif not found.plan.rules.enlarge and min(cut.original) < found.plan.rules.step:
            text = f"is {width}x{height}, smaller than the step of {found.plan.rules.step} pixels; let pictures be enlarged, or remove it"
            yield Problem(name, "tiny", text, fatal=True)
        elif cut.scale > ENLARGED:
            text = f"is {width}x{height} and would be enlarged {cut.scale:.1f} times to {cut.bucket[0]}x{cut.bucket[1]}; it will look soft"
            yield Problem(name, "small", text)
        if cut.lost > LOST and not entry.is_prior:
            text = f"is {width}x{height}; {cut.lost:.0%} of it is cut off for {cut.bucket[0]}x{cut.bucket[1]}. Look at its crop"
            yield Problem(name, "cut", text)


def crops_of_others(found: Found) -> Iterator[Problem]:
    """Crops that were chosen when the picture had another size."""
    for entry in found.plan.pictures:
        if entry.crop is not None and entry.box is None:
            width, height = entry.crop.size
            yield Problem(entry.name, "old_crop", f"has a crop that was made when it was {width}x{height}; it is not used. Choose it again")


def contents(found: Found) -> Iterator[Problem]:
    """Animations, transparency, and the same picture twice."""
    for entry in found.plan.pictures:
        if entry.facts.frames > 1:
            yield Problem(entry.name, "frames", f"holds {entry.facts.frames} pictures; only the first is trained")
        if entry.facts.transparent:
            yield Problem(entry.name, "transparent", "is transparent in places; they become white")
    yield from doubles(found)


def doubles(found: Found) -> Iterator[Problem]:
    """The same file, or the same picture in another size or format, under two names."""
    first: dict[str, Entry] = {}
    for entry in found.plan.pictures:
        other = first.setdefault(entry.facts.digest, entry)
        if other is not entry:
            yield Problem(entry.name, "same_content", f"is the same file as {other.name}; it counts twice")
    different = list(first.values())[:MOST_COMPARED]
    looks = [int(entry.facts.look or "0", 16) for entry in different]
    for index, entry in enumerate(different):
        other = next((earlier for earlier in range(index) if alike(looks[earlier], looks[index])), None)
        if other is not None:
            yield Problem(entry.name, "same_look", f"looks the same as {different[other].name}; it counts twice")


def names(found: Found) -> Iterator[Problem]:
    """Names that differ only in their ending share a caption; names that differ only in case are one on some systems."""
    entries = [entry for entry in (*found.plan.pictures, *found.plan.broken) if not entry.is_prior]
    first_stem: dict[str, str] = {}
    first_name: dict[str, str] = {}
    for entry in sorted(entries, key=lambda each: in_order(each.name)):
        other = first_stem.setdefault(same(stem_of(entry.name)), entry.name)
        if other != entry.name:
            text = f"has the same name as {other} but for its ending, so both have the caption of {stem_of(entry.name)}.txt; rename one"
            yield Problem(entry.name, "same_name", text)
            continue
        other = first_name.setdefault(in_order(stem_of(entry.name))[0], entry.name)
        if other != entry.name:
            text = f"has the same name as {other} but for capitals or accents; on some systems they would be one. Rename one"
            yield Problem(entry.name, "same_name", text)


def missing_captions(found: Found) -> Iterator[Problem]:
    """Pictures without a caption, with what is said instead; captions that are damaged or too long."""
    fatal = found.config.method == CAPTIONER_LORA
    for entry in found.plan.pictures:
        text, source = captions.plain(entry.caption.text, found.config), entry.caption.source
        if source not in captions.WRITTEN or not entry.caption.text:
            lacks = "has an empty caption" if source in captions.WRITTEN else "has no caption"
            instead = f"; “{text}” is taken instead" if text else " and there is no trigger word; it is trained without words"
            yield Problem(entry.name, "no_caption", lacks + (", and a captioner learns from them" if fatal else instead), fatal=fatal)
        if entry.caption.damaged:
            yield Problem(entry.name, "damaged_caption", "has a caption that is not UTF-8; some letters are lost. Save it again")
        if (tokens := captions.about_tokens(text)) > MOST_TOKENS:
            yield Problem(entry.name, "long_caption", f"has a caption of about {tokens} tokens; what is beyond {MOST_TOKENS} is not read")


def unused_files(found: Found) -> Iterator[Problem]:
    """Files that nobody will read."""
    for name in found.unused:
        yield Problem(name, "unused", "is neither a picture that can be trained nor a caption of one, and is left out")


def few(found: Found) -> Iterator[Problem]:
    """Fewer pictures than a batch, over all or in a bucket."""
    batch = found.config.global_batch
    trained = found.plan.trained
    if not trained or batch == 1:
        return
    counts: dict[tuple[int, int], int] = {}
    for entry in trained:
        bucket = found.plan.cut(entry).bucket
        counts[bucket] = counts.get(bucket, 0) + (2 if found.config.prior_preservation else 1)
    if sum(counts.values()) < batch:
        text = f"An epoch shows {sum(counts.values())} pictures, fewer than a batch of {batch}. Use more repeats or a smaller batch."
        yield Problem("", "fewer_than_batch", text)
        return
    for (width, height), count in sorted(counts.items()):
        if count < batch:
            yield Problem(
                "", "bucket", f"Only {count} of an epoch are {width}x{height}, fewer than a batch of {batch}; it will be a small one."
            )


def resolution(found: Found) -> Iterator[Problem]:
    """Sizes against the model that is trained."""
    if found.checkpoint is None or found.config.method == CAPTIONER_LORA or found.checkpoint.family not in FAMILIES:
        return
    family, rules = FAMILIES.get(found.checkpoint.family), found.plan.rules
    asked, native, multiple = found.config.resolution, found.checkpoint.native_px, family.multiple_of_px
    if rules.shapes and rules.step % multiple:
        yield Problem(
            "", "step", f"{family.title} needs sides in steps of {multiple} pixels; bucket_reso_steps is {rules.step}.", fatal=True
        )
    if asked % multiple or asked < 2 * multiple:
        fit = max(asked // multiple * multiple, 2 * multiple)
        text = f"{family.title} needs sides in steps of {multiple} pixels; the resolution is {asked}. Take {fit}."
        yield Problem("", "resolution", text, fatal=True)
    elif rules.side != asked:
        yield Problem("", "resolution", f"The resolution is {asked}; with steps of {rules.step} pixels it becomes {rules.side}.")
    fewest, most = family.pixels_of(found.checkpoint.variant)
    fewest, most = fewest or int((native * FAR[0]) ** 2), most or int((native * FAR[1]) ** 2)
    if not min(fewest, native * native) <= asked * asked <= max(most, native * native):
        text = f"{found.checkpoint.model_name} was made for {native}x{native}, and falls apart at {asked}x{asked}."
        more = "" if found.config.any_resolution else f" Take {native}, or switch on “Any resolution”."
        yield Problem("", "resolution", text + more, fatal=not found.config.any_resolution)
    elif asked != native:
        yield Problem("", "resolution", f"{found.checkpoint.model_name} was made for {native}x{native}; the resolution is {asked}.")


def of_class(found: Found, missing: int) -> Iterator[Problem]:
    """Pictures of the class that are not there yet."""
    if missing:
        text = f"{missing} of {found.config.num_class_images} pictures of the class are missing; they are made before the training."
        yield Problem("", "class_pictures", text)


CHECKS: tuple[Callable[[Found], Iterable[Problem]], ...] = (
    no_pictures,
    unreadable,
    sizes,
    names,
    missing_captions,
    contents,
    crops_of_others,
    few,
    resolution,
    unused_files,
)


def _shown(entry: Entry) -> str:
    return f"class/{entry.name}" if entry.is_prior else entry.name
