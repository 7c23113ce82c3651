"""What is typed into the search box, as SQL: words, "quoted phrases", -excluded, negative:, model:, name: and seed:.

Knows the grammar and SQLite's full-text table `words`; knows nothing about pages. Start reading at `read`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

TERMS = 24
TERM_CHARS = 200
COLUMNS = {"": "prompt model name", "prompt": "prompt", "negative": "negative", "model": "model", "name": "name"}
_TERM = re.compile(r'(?P<minus>-)?(?:(?P<where>prompt|negative|model|name|seed):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>\S+))', re.IGNORECASE)
_ESCAPED = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})


@dataclass(frozen=True)
class _Term:
    where: str
    text: str
    phrase: bool
    out: bool


def read(text: str) -> tuple[list[str], list[Any]]:
    """(SQL conditions on the table `pictures`, their values) that all must hold; none for an empty search.

    A bare word matches the beginning of a word of the prompt, the model's name or the file name; a phrase matches whole words.
    Writing without spaces between words (Chinese, Japanese, Thai, ...) is looked for anywhere in the text.
    """
    conditions: list[str] = []
    values: list[Any] = []
    matches: list[str] = []
    for term in _terms(text):
        if term.where == "seed":
            conditions.append(f"{'NOT ' if term.out else ''}IFNULL(CAST(seed AS TEXT) = ?, 0)")
            values.append(term.text)
        elif _is_unspaced(term.text):
            columns = " || ' ' || ".join(COLUMNS[term.where].split())
            conditions.append(f"({columns}) {'NOT ' if term.out else ''}LIKE ? ESCAPE '\\'")
            values.append(f"%{term.text.translate(_ESCAPED)}%")
        elif term.out:
            conditions.append("n NOT IN (SELECT rowid FROM words WHERE words MATCH ?)")
            values.append(_match(term))
        else:
            matches.append(_match(term))
    if matches:
        conditions.append("n IN (SELECT rowid FROM words WHERE words MATCH ?)")
        values.append(" AND ".join(matches))
    return conditions, values


def _terms(text: str) -> list[_Term]:
    found: list[_Term] = []
    for match in _TERM.finditer(text[: TERMS * TERM_CHARS]):
        phrase, word = match.group("phrase"), match.group("word")
        said = (word if phrase is None else phrase)[:TERM_CHARS]
        if any(c.isalnum() for c in said):  # a phrase without a letter would match nothing
            found.append(_Term((match.group("where") or "").lower(), said.strip(), phrase is not None, bool(match.group("minus"))))
    return found[:TERMS]


def _match(term: _Term) -> str:
    """The term in the language of SQLite's full-text search; in quotation marks nothing of it is an operator."""
    quoted = '"' + term.text.replace('"', '""') + '"'
    return f"{{{COLUMNS[term.where]}}} : {quoted}{'' if term.phrase else ' *'}"


def _is_unspaced(text: str) -> bool:
    """Written in letters that have no capitals, most of which stand for scripts without spaces between words."""
    return any(unicodedata.category(c) == "Lo" for c in text)
