"""Scripts and extensions that take part in a run: as they are asked for, and as the job row holds them.

Names are A1111's. Knows nothing about which scripts there are. Start reading at `Guests`, then `Use`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from modules.knobs import Knob

NAME_LIMIT = 500
AXES = "x/y/z axes"  # the entry of alwayson_scripts by which a cell of a grid carries the values of axes that scripts brought


@dataclass(frozen=True, kw_only=True)
class Guests:
    """The selected script with its arguments, and arguments of always-on scripts by their titles: {"title": {"args": [...]}}."""

    script_name: Annotated[
        str | None, Knob("Script", choices="scripts", max_chars=NAME_LIMIT, help="Makes the pictures in place of a plain run.")
    ] = None
    script_args: Annotated[
        list[Any], Knob("Arguments of the script", help="One value for each of its controls, in order; those left out keep their starts.")
    ] = field(default_factory=list[Any])
    alwayson_scripts: Annotated[dict[str, Any], Knob("Always-on scripts", help='Arguments by title: {"title": {"args": [...]}}.')] = field(
        default_factory=dict[str, Any]
    )


@dataclass(frozen=True, kw_only=True)
class Use:
    """One guest of a job. name: lower-case title; file: where it came from, for messages; args: plain data, one a control.

    selected: it makes the pictures itself, in place of a plain run.
    """

    name: str
    file: str = ""
    args: tuple[Any, ...] = ()
    selected: bool = False


@dataclass(frozen=True, kw_only=True)
class Visit:
    """All guests of a job, in order. asked: the request's own data, from which guests may begin anew.

    options: values of options that extensions added, for this job alone.
    """

    uses: tuple[Use, ...]
    asked: dict[str, Any] = field(default_factory=dict[str, Any])
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises KeyError, TypeError."""
        rows = [dataclasses.replace(Use(**row), args=tuple(row["args"])) for row in data["uses"]]
        return cls(uses=tuple(rows), asked=data["asked"], options=data.get("options", {}))

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
