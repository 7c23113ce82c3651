"""A package beside a script, as large extensions have one: a name that is also its module's, a dataclass, a pydantic model."""

from .__label__ import __label__
from .shelves import Jar, Order

__all__ = ["Jar", "Order", "__label__"]
