"""What becomes of a finished picture: faces restored, saved, shown, told; and the grid of all of them. Start reading at `keep_batch`.

What needs the device or guests happens at once; encoding, writing and telling when the job's line comes to it (`Job.later`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from modules.faults import BlankPicture, ModelFault, RequestFault
from modules.hooks import Finished
from modules.pixels.grid import image_grid
from modules.processing.batch import Batch
from modules.processing.extras import Desk, restored
from modules.processing.job import Job
from modules.processing.listening import was_made
from modules.processing.told_beside import extra_of, show_beside
from modules.request import Picture
from modules.saver import Saver


def keep_batch(run: Job, batch: Batch, indices: Sequence[int], desk: Desk, saver: Saver) -> None:
    """What a batch brought goes into the run, and its pictures, of these numbers, are kept."""
    for warning in batch.warnings:
        if warning not in run.warnings:
            run.warn(warning)
    run.maps = run.maps or batch.maps
    run.learnt |= batch.learnt
    run.infotext |= batch.infotext
    for name, spent in batch.seconds.items():
        run.seconds[name] = run.seconds.get(name, 0.0) + spent
    images = run.guests.pass_on("decoded", batch.images)
    if len(images) != len(batch.images):
        run.warn("A script gave back another number of pictures than there are; they stay as they were.")
        images = batch.images
    for index, image in zip(indices, images, strict=True):
        if was_made(run, index):
            keep_made(run, run.made[run.first + index])
        else:
            keep(run, image, index, desk, saver, partial=batch.partial)
            show_beside(run, saver, batch.beside[index - indices[0]] if batch.beside else [], index)


def keep(run: Job, image: Image.Image, index: int, desk: Desk, saver: Saver, *, partial: bool) -> None:
    """Picture `index` of the run, with its faces restored, saved and reported."""
    image, settings = _with_faces(run, image, desk), run.resolved.settings
    saved = run.resolved.save_images and settings["samples_save"] and (not partial or settings["save_incomplete_images"])
    finished = run.guests.pass_on("before_save", Finished(image=image, index=index))
    run.images.append(finished.image)
    resolved, extra = run.resolved, extra_of(run) | finished.infotext

    def save() -> None:
        picture = saver.save(
            finished.image,
            resolved=resolved,
            index=index,
            job=run.id,
            kind="partial" if partial else "sample",
            saved=saved,
            extra=extra,
            place=run.first + index,
        )
        picture = replace(picture, index=run.first + index)
        run.pictures.append(picture)
        run.control.event("picture", picture.to_data())
        run.guests.tell("picture_saved", picture)

    run.later(save)


def _with_faces(run: Job, image: Image.Image, desk: Desk) -> Image.Image:
    """With its faces restored, where the settings ask for it; what is missing or damaged is a warning, and the picture stays."""
    settings = run.resolved.settings
    if not settings.get("face_restoration"):
        return image
    name = settings["face_restoration_model"]
    try:
        image, count = restored(image, name, 1.0, settings["code_former_weight"], desk)
    except (RequestFault, ModelFault, BlankPicture) as fault:
        why = fault.why if isinstance(fault, RequestFault) else fault.message
        if why not in run.warnings:
            run.warn(why)
        return image
    if count:
        run.restored.add(name)
    return image


def keep_made(run: Job, picture: Picture) -> None:
    """A picture that an earlier attempt of the job has finished."""
    run.later(lambda: run.pictures.append(picture))
    with Image.open(picture.path) as image:
        run.images.append(image.convert("RGB"))


def save_grid(run: Job, saver: Saver) -> None:
    """A1111's rule: a grid of several pictures stands first."""
    settings = run.resolved.settings
    if not run.resolved.save_images or not (settings["return_grid"] or settings["grid_save"]):
        return
    if not run.images or (len(run.images) == 1 and settings["grid_only_if_multiple"]):
        return
    extra = extra_of(run)

    def save() -> None:
        grid = image_grid(run.images, rows=settings["n_rows"], batch_size=run.resolved.batch_size)
        picture = saver.save(grid, resolved=run.resolved, index=-1, job=run.id, kind="grid", saved=settings["grid_save"], extra=extra)
        if settings["return_grid"]:
            run.pictures.insert(0, picture)
        run.control.event("picture", picture.to_data())

    run.later(save)
