"""Taking over the folder of another program (A1111, Forge, SD.Next): its settings, styles, models and pictures. Nothing there is changed.

`survey` says what would be done, `taking.take_over` does what is quick, `doing.carry_out` is the job for the rest, `undo` goes back.
Knows files and folders; knows nothing about the page. Start reading at `survey.survey`.
"""

from modules.upkeep.imports.asked import IMPORT, ImportAsked, read_asked
from modules.upkeep.imports.records import Record, past, with_job
from modules.upkeep.imports.survey import Survey, survey
from modules.upkeep.imports.taking import settle, take_over, undo

__all__ = ["IMPORT", "ImportAsked", "Record", "Survey", "past", "read_asked", "settle", "survey", "take_over", "undo", "with_job"]
