"""Durable jobs: store, queue, worker supervisor, worker loop, events.

Knows how long work is kept, run, cancelled, retried and reported; knows nothing about what a job does (a runner in the
worker process knows that) nor about pages or HTTP. Start reading at `Jobs`.
"""

from modules.jobs.lists import Filter, filter_of
from modules.jobs.records import DEVICE, FILES, FINISHED, LANES, STATES, TRAIN, Event, Job, Live, NewJob, Turn, new_id
from modules.jobs.service import Jobs

__all__ = [
    "DEVICE", "FILES", "FINISHED", "LANES", "STATES", "TRAIN", "Event", "Filter", "Job", "Jobs", "Live", "NewJob", "Turn", "filter_of",
    "new_id",
]  # fmt: skip
