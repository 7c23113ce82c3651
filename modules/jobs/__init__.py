"""Durable jobs: store, queue, worker supervisor, worker loop, events.

Knows how long work is kept, run, cancelled, retried and reported; knows nothing about what a job does (a runner in the
worker process knows that) nor about pages or HTTP. Start reading at `Jobs`.
"""

from modules.jobs.records import DEVICE, FILES, FINISHED, LANES, STATES, Event, Job, Live
from modules.jobs.service import Jobs

__all__ = ["DEVICE", "FILES", "FINISHED", "LANES", "STATES", "Event", "Job", "Jobs", "Live"]
