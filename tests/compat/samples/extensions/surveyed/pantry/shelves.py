from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from pydantic import BaseModel


@dataclass
class Jar:
    made: ClassVar[int] = 0
    name: str = "plum"


class Order(BaseModel):
    jars: Optional[list[Lid]] = None  # noqa: UP045 - as extensions of that time write it


class Lid(BaseModel):
    width: int = 3
