"""What runs a captioner and how its weights are kept: whether that can be, before anything is queued.

Reads descriptions only; imports no torch. Start reading at `backed`.
"""

from __future__ import annotations

from modules.backends.onnx_session import lacking
from modules.caption import CAPTION, CAPTIONERS, tagger
from modules.caption.installed import Installed
from modules.caption.onnx_files import KINDS, PRECISIONS, RUNS_WITH, must_be_exported, need
from modules.faults import RequestFault
from modules.request.caption import ONNX, QUANTISED, CaptionModel, CaptionRequest

AUTO = "auto"
QUANTISES = {"bitsandbytes": "bitsandbytes"}


def backed(request: CaptionRequest, task: str, model: Installed) -> CaptionModel:
    """The model as a job needs it. Raises RequestFault("backend") or ("precision") where it cannot run so, ModelFault without an export."""
    adapter = request.adapter.strip()
    if model.kind == tagger.ID:
        if adapter:
            why = f"{adapter} changes the weights of a captioner, by torch; {model.name} is a tagger and runs by ONNX"
            raise RequestFault("adapter", why, got=adapter)
        need(RUNS_WITH, f"The tagger {model.name}")
        return CaptionModel(name=model.name, path=str(model.path), kind=model.kind, backend=ONNX)
    if request.backend != ONNX:
        if request.precision in QUANTISED and (missing := lacking(QUANTISES)):
            raise RequestFault(
                "precision",
                f"{request.precision} needs {missing[0]}; install it: python -m pip install {missing[0]}",
                got=request.precision,
            )
        return CaptionModel(name=model.name, path=str(model.path), kind=model.kind)
    if model.kind not in KINDS:
        can = ", ".join(CAPTIONERS.get(kind).title for kind in KINDS)
        title = CAPTIONERS.get(model.kind).title
        raise RequestFault("backend", f"{model.name} is {title}, which has no ONNX form here; these have: {can}. Take torch", got=ONNX)
    if task != CAPTION or request.attention:
        why = "heat maps need the model's own layers" if request.attention or task == "attend" else "the exported form only writes captions"
        raise RequestFault("backend", f"{why}; take torch", got=ONNX)
    if adapter:
        why = f"the adapter {adapter} needs the own weights of {model.name}, which its exported form does not have; take torch"
        raise RequestFault("backend", why, got=ONNX)
    export = must_be_exported(model)
    if request.precision not in (AUTO, *export.precisions):
        there = ", ".join((AUTO, *export.precisions))
        known = request.precision in PRECISIONS
        why = f"was not exported of {model.name}" if known else "is no precision of ONNX here"
        raise RequestFault("precision", f"{why}; there is {there}", got=request.precision, allowed=[AUTO, *export.precisions])
    return CaptionModel(name=model.name, path=str(model.path), kind=model.kind, backend=ONNX)
