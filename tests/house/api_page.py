"""The reference of /api/v2 in docs/api-v2.md, made from the OpenAPI document: every route, then every shape that they use.

Start reading at `reference`.
"""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Iterator
from typing import Any

from modules import flags
from modules.app import build
from modules.server import create

PREFIX = "/api/v2"
SCHEMAS = "#/components/schemas/"
PLAIN = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "object": "object", "null": "null"}
LIMITS = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"), ("maxLength", "up to"), ("minItems", "at least"))
ALWAYS = ("401", "403", "429", "500")
Schema = dict[str, Any]


@functools.cache
def described() -> Schema:
    """The OpenAPI document of the program as it is started without flags."""
    with tempfile.TemporaryDirectory() as folder:
        app = build(flags.Flags(data_dir=folder))
        try:
            return create(app).openapi()
        finally:
            app.stop()


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """(METHOD, path, what the document says) of every route of /api/v2."""
    for path, methods in sorted(document["paths"].items()):
        for method, about in methods.items():
            if path.startswith(f"{PREFIX}/"):
                yield method.upper(), path, about


def reference() -> str:
    """The body of the page, in Markdown."""
    document = described()
    by_tag: dict[str, list[tuple[str, str, Schema]]] = {}
    for method, path, about in operations(document):
        by_tag.setdefault(about["tags"][-1].removeprefix("v2 "), []).append((method, path, about))
    parts = [f"## {tag.capitalize()}\n\n{''.join(_route(*row) for row in rows)}" for tag, rows in by_tag.items()]
    schemas = document["components"]["schemas"]
    used = sorted(reachable(document))
    return "".join(parts) + "## Shapes\n\n" + "".join(_shape(name, schemas[name]) for name in used)


def reachable(document: Schema) -> set[str]:
    """Names of the shapes that the routes of /api/v2 use, themselves or through others."""
    schemas, found = document["components"]["schemas"], set[str]()
    open_names = [name for _, _, about in operations(document) for name in _names(about)]
    while open_names:
        name = open_names.pop()
        if name not in found:
            found.add(name)
            open_names += _names(schemas[name])
    return found


def _names(value: Any) -> list[str]:
    """Every shape that a part of the document refers to."""
    if isinstance(value, list):
        return [name for one in value for name in _names(one)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"].removeprefix(SCHEMAS)] if isinstance(value.get("$ref"), str) else []
    return own + [name for one in value.values() for name in _names(one)]


def _route(method: str, path: str, about: Schema) -> str:
    lines = [f"### {method} {path}", "", f"**{about['summary']}.** {_text(about.get('description', ''))}", ""]
    rows = [
        (p["name"], p["in"], _words(p["schema"]) + ("" if p["required"] else _default(p["schema"])), _text(p.get("description", "")))
        for p in about.get("parameters", ())
    ]
    if rows:
        lines += [_table(("Parameter", "In", "Type", "What it is"), [(f"`{n}`", *rest) for n, *rest in rows]), ""]
    if body := about.get("requestBody"):
        lines += [f"Body: {_content(body['content'])}.", ""]
    good = [f"{status} {_content(r.get('content', {}))}".strip() for status, r in sorted(about["responses"].items()) if status < "400"]
    bad = [status for status in sorted(about["responses"]) if status >= "400" and status not in ALWAYS]
    lines += [f"Answers {'; '.join(good)}.{f' Errors: {chr(44).join(bad)}.'.replace(',', ', ') if bad else ''}", ""]
    return "\n".join(lines) + "\n"


def _content(content: Schema) -> str:
    """Bodies by media type; the types of pictures as one."""
    binary = [kind for kind, about in content.items() if about.get("schema", {}).get("format") == "binary"]
    others = [
        _words(about["schema"]) if kind == "application/json" else f"`{kind}`"
        for kind, about in content.items()
        if kind not in binary and "schema" in about
    ]
    return " or ".join([*others, *(["bytes (" + ", ".join(f"`{kind}`" for kind in binary) + ")"] if binary else [])])


def _shape(name: str, schema: Schema) -> str:
    lines = [f"### {name}", "", _text(schema.get("description", "")), ""]
    needed = set(schema.get("required", ()))
    rows = [
        (f"`{field}`", _words(about) + ("" if field in needed else _default(about)), _text(about.get("description", "")))
        for field, about in schema.get("properties", {}).items()
    ]
    if rows:
        lines += [_table(("Field", "Type", "What it is"), rows), ""]
    return "\n".join(lines) + "\n"


def _words(schema: Schema) -> str:
    """A type in words, its limits behind it."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(SCHEMAS)
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" if value != "" else "empty" for value in schema["enum"])
    for many in ("anyOf", "oneOf"):
        if many in schema:
            return " or ".join(dict.fromkeys(_words(one) for one in schema[many]))
    if schema.get("type") == "array":
        return f"list of {_words(schema.get('items', {}))}{_limits(schema)}"
    if isinstance(extra := schema.get("additionalProperties"), dict) and extra:
        return f"object of {_words(extra)}"
    return PLAIN.get(str(schema.get("type")), "anything") + _limits(schema)


def _limits(schema: Schema) -> str:
    told = [f"{word} {schema[key]:,}" + (" characters" if key == "maxLength" else "") for key, word in LIMITS if key in schema]
    return f" {' '.join(told)}" if told else ""


def _default(schema: Schema) -> str:
    value = schema.get("default")
    if value is None or value in ("", [], {}):
        return ", may be left out"
    return f", default `{str(value).lower() if isinstance(value, bool) else value}`"


def _text(text: str) -> str:
    """One line, with nothing that Markdown takes for its own in a table."""
    return re.sub(r"\s+", " ", text).strip().replace("<", "&lt;")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
