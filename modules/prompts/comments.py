"""Comments in prompts: what stands behind # in a line is left out.

Knows text only. Start reading at `without_comments`.
"""

from __future__ import annotations


def without_comments(text: str) -> str:
    """A prompt without `# ...` to the end of each line; lines that hold nothing else go too. Source: A1111's rule."""
    if "#" not in text:
        return text
    kept: list[str] = []
    for line in text.split("\n"):
        words, mark, _ = line.partition("#")
        words = words.rstrip() if mark else words
        if words.strip() or not mark:
            kept.append(words)
    return "\n".join(kept).strip()
