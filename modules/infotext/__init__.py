"""A1111's parameters text: written from a resolved request, read back into a request.

Knows the grammar and the keys (those of the fields stand in their Knobs). Knows nothing about picture files, samplers or
models. Start reading at `write`, then `parse` and `to_request`. Source: the behaviour of A1111 1.10.

The grammar has no escapes for prompts, so these come back changed, here as in A1111: white space at either end of a line,
blank lines before the first word of the whole text, and a line that begins with "Negative prompt:" (it starts, or goes on
with, the negative prompt).
"""

from modules.infotext.grammar import Parsed, parse, quote, unquote
from modules.infotext.reading import QUIET, to_request
from modules.infotext.writing import VERSION, pairs, write

__all__ = ["QUIET", "VERSION", "Parsed", "pairs", "parse", "quote", "to_request", "unquote", "write"]
