"""From a `CaptionRequest` to a `ResolvedCaption`: which model, how it writes, and everything that can be wrong before it is queued.

Reads descriptions of models only; imports no torch. Start reading at `resolve_caption`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import ImageColor

from modules.caption import ANSWER, ATTEND, CAPTION, CAPTIONERS, MATCH, TAGS, WORDS
from modules.caption.adapters import Adapter, adapters, find_adapter
from modules.caption.installed import Installed, captioners, find
from modules.faults import RequestFault
from modules.folders import Folders
from modules.inputs import Inputs
from modules.pixels.incoming import WHITE
from modules.processing.caption_backend import backed
from modules.processing.caption_tags import DEEPBOORU, chosen_tagger, means_tags, tagging_of
from modules.processing.caption_tasks import DOING, abilities, put, task_of
from modules.processing.caption_writing import writing_of
from modules.processing.extras_plan import base_name
from modules.processing.picture_folders import folder_of, pictures_in
from modules.request.caption import MOST_TEXTS, TEXT_CHARS, CaptionAdapter, CaptionModel, CaptionRequest, RankedWords, ResolvedCaption
from modules.request.extras import Source
from modules.settings import Settings

CLIP = "clip"  # A1111's name for a caption with ranked words behind it
MOST_PICTURES = 20_000
MOST_FILES = 100_000
MAX_SEED = 2**32 - 2


@dataclass(frozen=True)
class _Shelf:
    """What is installed."""

    rows: Sequence[Installed]
    refused: dict[str, str]

    def able(self, *needed: str) -> list[Installed]:
        return [row for row in self.rows if set(needed) <= abilities(row)]

    def chosen(self, name: str, needed: tuple[str, ...], field: str = "model") -> Installed:
        """The one of that name, "" the first that can. Raises RequestFault, UnknownName, ModelFault."""
        able = self.able(*needed)
        what = " and ".join(DOING[one] for one in needed)
        if not name:
            if not able:
                raise RequestFault(field, f"no captioner here can {what}; put one into models/BLIP, docs/captioning.md names some")
            return next((row for row in able if TAGS not in row.does), able[0])
        row = find(self.rows, self.refused, name, field)
        if row not in able:
            there = ", ".join(r.name for r in able) or "none here can"
            can = ", ".join(DOING[one] for one in row.does)
            why = f" ({CAPTIONERS.get(row.kind).blind})" if ATTEND in needed and CAPTIONERS.get(row.kind).blind else ""
            raise RequestFault(field, f"{row.name} can {can}, but not {what}{why}; these can: {there}", allowed=[r.name for r in able])
        return row


def names(folders: Folders) -> list[str]:
    """What `model` may be called with: clip, and every captioner that can write a caption."""
    rows, _ = captioners(folders)
    shelf = _Shelf(rows, {})
    able = [row.name for row in shelf.able(CAPTION)]
    tags = [DEEPBOORU[0]] if shelf.able(TAGS) else []
    return [*([CLIP] if able and shelf.able(WORDS) else []), *tags, *able]


def resolve_caption(request: CaptionRequest, settings: Settings, folders: Folders, inputs: Inputs) -> ResolvedCaption:
    """The request with nothing left open. Raises RequestFault, UnknownName and ModelFault naming the field or the model."""
    if not request.search.strip():
        return resolve_described(request, settings, folders, _sources(request, inputs))
    if not request.texts:
        raise RequestFault("search", "needs texts to look for, one or more in texts", got=request.search)
    folder = folder_of(request.search, folders, field="search")
    names = pictures_in(folder, recursive=True, within=folders.data)
    if not 0 < len(names) <= MOST_FILES:
        raise RequestFault("search", f"holds {len(names)} pictures; 1 to {MOST_FILES} can be searched", got=str(folder))
    sources = tuple(Source(name=name, path=str(folder / name)) for name in names)
    resolved = resolve_described(request, settings, folders, sources)
    return replace(resolved, search=str(folder), title=f"Search: {len(names)} pictures in {folder.name}")


def resolve_described(request: CaptionRequest, settings: Settings, folders: Folders, sources: tuple[Source, ...] = ()) -> ResolvedCaption:
    """As `resolve_caption`, with pictures that were found already, or are found later. Raises as it does."""
    shelf = _Shelf(*captioners(folders))
    task, needed = task_of(request)
    with_words = request.model.casefold() == CLIP
    if with_words and task != CAPTION:
        raise RequestFault("model", "clip writes captions with ranked words; to compare or to answer name a captioner", got=request.model)
    request, adapter = _adapter(request, folders, shelf)
    model = _captioner(request, settings, folders, shelf, (*needed, ATTEND) if request.attention and task != ATTEND else needed)
    asked = put(request, task, CAPTIONERS.get(model.kind), model.name)
    writing, warnings = writing_of(_as_a1111(request, settings) if with_words else request, model)
    texts = _texts(request)
    return ResolvedCaption(
        title=_title(task, sources),
        task=task,
        model=backed(request, task, model),
        sources=sources,
        writing=writing,
        text=asked.text,
        before=asked.before,
        places=asked.places,
        texts=texts,
        words=_words(settings, shelf) if with_words else None,
        seed=request.seed if request.seed >= 0 else random.randint(0, MAX_SEED),
        batch_size=request.batch_size,
        precision=request.precision,
        background=_colour(request.background),
        keep=settings.interrogate_keep_models_in_memory,
        fit=request.fit,
        attention=request.attention or task == ATTEND,
        show_input=request.show_input,
        adapter=_fitting(adapter, model),
        tagging=tagging_of(request, settings, model),
        n_iter=max(1, len(sources)),
        warnings=tuple(warnings),
    )


def _adapter(request: CaptionRequest, folders: Folders, shelf: _Shelf) -> tuple[CaptionRequest, Adapter | None]:
    """The adapter that is asked for, and the request with the captioner it was trained on where it leaves that open.

    Raises UnknownName, ModelFault, RequestFault.
    """
    if not request.adapter.strip():
        return request, None
    if request.model.casefold() == CLIP:
        raise RequestFault("adapter", "goes with a captioner; name one instead of clip")
    row = find_adapter(*adapters(folders), request.adapter)
    if not request.model and any(row.base.casefold() == model.name.casefold() for model in shelf.rows):
        return replace(request, model=row.base), row
    return request, row


def _fitting(adapter: Adapter | None, model: Installed) -> CaptionAdapter | None:
    """Raises RequestFault when the adapter is for another kind of captioner."""
    if adapter is None:
        return None
    adapter.check(model.kind)
    return CaptionAdapter(name=adapter.name, path=str(adapter.path))


def _captioner(request: CaptionRequest, settings: Settings, folders: Folders, shelf: _Shelf, needed: tuple[str, ...]) -> Installed:
    if means_tags(request.model):
        model = chosen_tagger(shelf.rows, settings, folders)
        return shelf.chosen(model.name, needed)
    if request.model and request.model.casefold() != CLIP:
        return shelf.chosen(request.model, needed)
    if settings.interrogate_captioner:
        usual = find(shelf.rows, shelf.refused, settings.interrogate_captioner, "interrogate_captioner")
        if set(needed) <= abilities(usual):
            return usual
    return shelf.chosen("", needed)


def names_of(shelf: _Shelf) -> list[str]:
    """clip and the captioners of a shelf."""
    return [CLIP, *(row.name for row in shelf.able(CAPTION))]


def _words(settings: Settings, shelf: _Shelf) -> RankedWords:
    return RankedWords(
        scorer=_named(
            shelf.chosen(settings.interrogate_scorer, (WORDS,), "interrogate_scorer" if settings.interrogate_scorer else "model")
        ),
        most=settings.interrogate_clip_dict_limit,
        skip=tuple(str(name) for name in settings.interrogate_clip_skip_categories),
        ranks=settings.interrogate_return_ranks,
    )


def _as_a1111(request: CaptionRequest, settings: Settings) -> CaptionRequest:
    """What the request leaves open is as the settings say for clip."""
    said = {
        "num_beams": settings.interrogate_clip_num_beams,
        "min_length": min(settings.interrogate_clip_min_length, settings.interrogate_clip_max_length),
        "max_length": settings.interrogate_clip_max_length,
    }
    return replace(request, **{name: value for name, value in said.items() if getattr(request, name) is None})


def _sources(request: CaptionRequest, inputs: Inputs) -> tuple[Source, ...]:
    if not request.images:
        raise RequestFault("images", "a picture is needed")
    if len(request.images) > MOST_PICTURES:
        raise RequestFault("images", f"are {len(request.images)}; take {MOST_PICTURES} at once at most")
    for reference in request.images:
        inputs.path(str(reference), "images")
    called = [*request.image_names, *[""] * len(request.images)]
    return tuple(Source(name=base_name(str(name)), reference=str(ref)) for ref, name in zip(request.images, called, strict=False))


def _texts(request: CaptionRequest) -> tuple[str, ...]:
    if len(request.texts) > MOST_TEXTS:
        raise RequestFault("texts", f"are {len(request.texts)}; compare {MOST_TEXTS} at once at most")
    for text in request.texts:
        if not isinstance(text, str) or not text.strip() or len(text) > TEXT_CHARS:
            raise RequestFault("texts", f"must be texts of 1 to {TEXT_CHARS} characters", got=text)
    return tuple(text.strip() for text in request.texts)


def _colour(text: str) -> str:
    try:
        red, green, blue = ImageColor.getrgb(text or WHITE)[:3]
    except ValueError as error:
        raise RequestFault("background", "is not a colour; write it like #ffffff", got=text) from error
    return f"#{red:02x}{green:02x}{blue:02x}"


def _named(row: Installed) -> CaptionModel:
    return CaptionModel(name=row.name, path=str(row.path), kind=row.kind)


def _title(task: str, sources: tuple[Source, ...]) -> str:
    what = {CAPTION: "Caption", ANSWER: "Question", MATCH: "Comparison", ATTEND: "Heat maps"}[task]
    if len(sources) > 1:
        return f"{what}: {len(sources)} pictures"
    return f"{what}: {sources[0].name}" if sources and sources[0].name else what
