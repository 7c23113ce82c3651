"""What would be trained, as /api/v2/train tells it before anything is queued: every picture and every value looked at.

Start reading at `report_of`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from modules.faults import Fault, RequestFault
from modules.processing.train_plan import check_packages, check_report, closed, line_of, model_of
from modules.request.train import TrainConfig
from modules.server.v2.train_picture_shapes import TrainBucket, TrainProblem, TrainReport
from modules.train.data.examine import examine

if TYPE_CHECKING:
    from modules.app import App
    from modules.train.sessions import Session


def report_of(app: App, session: Session) -> TrainReport:
    """The report. What cannot be read of the configuration is told in it, and the pictures are looked at all the same."""
    fault: Fault | None = None
    try:
        config = session.config()
    except Fault as found:
        fault, config = found, TrainConfig()
    checkpoint = captioner = None
    try:
        checkpoint, captioner = model_of(config, app.settings.current, app.folders, app.library)
    except Fault as found:
        fault = fault or found
    report = examine(session, closed(config, checkpoint), checkpoint)
    try:
        check_packages(config)
        check_report(report)
    except RequestFault as found:
        fault = fault or found
    field = fault.field if isinstance(fault, RequestFault) else None
    return TrainReport(
        ok=fault is None,
        message=fault.message if fault else "",
        field=field,
        line=line_of(session, field) if field else None,
        summary=report.summary,
        family=checkpoint.family if checkpoint else "",
        model=checkpoint.model_name if checkpoint else captioner.name if captioner else "",
        **dataclasses.asdict(report.counts),
        problems=[TrainProblem(**dataclasses.asdict(problem)) for problem in report.problems],
        buckets=[TrainBucket(**dataclasses.asdict(bucket)) for bucket in report.buckets],
    )
