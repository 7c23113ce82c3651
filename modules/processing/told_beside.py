"""What a job tells beside its pictures: keys for their parameters text, pictures that are shown after them, copies of what it began with.

run: the runner's record of a job, see `modules.processing.runner`. Start reading at `extra_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from modules.inputs import Inputs
from modules.processing.backed import untold
from modules.saver import Saver


def extra_of(run: Any) -> dict[str, object]:
    """What only the run itself knows, for the parameters text."""
    extra: dict[str, object] = {**untold(run.resolved), **run.infotext}
    if run.learnt and run.resolved.settings.get("textual_inversion_add_hashes_to_infotext", True):
        extra["TI hashes"] = ", ".join(f"{name}: {digest[:12]}" for name, digest in run.learnt.items())
    if run.init_hash:
        extra["Init image hash"] = run.init_hash
    if run.restored:
        extra["Face restoration"] = ", ".join(sorted(run.restored))
    if run.guests.run is not None:
        extra |= run.guests.run.infotext
    return extra


def show_beside(run: Any, saver: Saver, beside: Sequence[tuple[str, Image.Image]], index: int) -> None:
    """Pictures that are shown after a result, not saved with it. beside: (kind, picture)."""
    for kind, image in beside:
        _show(run, saver, image, index=index, kind=kind, saved=False, suffix=f"-{kind}")


def show_maps(run: Any, saver: Saver) -> None:
    """Control maps after the pictures, saved beside them when the settings say so."""
    settings = run.resolved.settings
    if settings.get("control_net_no_detectmap"):
        return
    saved = run.resolved.save_images and bool(settings.get("control_net_detectmap_autosaving"))
    for n, image in enumerate(run.maps):
        _show(run, saver, image, index=0, kind="control", saved=saved, suffix=f"-control-{n}", place=run.first)


def keep_inputs(run: Any, saver: Saver, inputs: Inputs) -> None:
    """A copy of the pictures that the run begins with, when the settings ask for it."""
    image = run.resolved.image
    if image is None or not run.resolved.settings.get("save_init_img"):
        return
    for reference in dict.fromkeys(image.init_images):
        run.init_hash = saver.save_input(inputs.open(reference), run.resolved.settings)


def _show(run: Any, saver: Saver, image: Image.Image, **where: Any) -> None:
    resolved, extra = run.resolved, extra_of(run)

    def save() -> None:
        picture = saver.save(image, resolved=resolved, job=run.id, extra=extra, **where)
        run.pictures.append(picture)
        run.control.event("picture", picture.to_data())

    run.later(save)
