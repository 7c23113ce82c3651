"""How long the readers of prompts take for a text of one million characters.

    python -m benchmarks.prompts [--unlimited]

The texts are the worst that a request may hold: as many brackets as are read (`modules.prompts.limits`), then words. --unlimited:
brackets from end to end. Prints a row a text and a column a reader, in milliseconds of processor time. Start reading at `main`.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable

from modules.prompts.attention import parse_attention
from modules.prompts.choices import parse
from modules.prompts.comments import without_comments
from modules.prompts.limits import MOST_MARKS, marks
from modules.prompts.networks import take_networks
from modules.prompts.schedule import schedule, split_and

LENGTH = 1_000_000
WORDS = "words and nothing else, "
READERS: dict[str, Callable[[str], object]] = {
    "attention": parse_attention,
    "schedule": lambda text: schedule(text, 20),
    "AND": split_and,
    "networks": take_networks,
    "comments": without_comments,
    "choices": parse,
}
PROMPT = (
    "masterpiece, (a red apple:1.2) on a [blue|green] table, soft light, [film grain:0.6], <lora:ink:0.7> a very long description of "
    "everything that can be seen in the room, __colour__ {wood|stone} walls, ((detailed)), 35mm photograph, "
)
TEXTS = (PROMPT, WORDS, " ", "()", "(a)b", "([a)]b", "([", "[a|b]", "[a:b:0.5]", "a AND ", "BREAK ", "\\(",
         "<lora:x:1>", "<a:", "a#\n", "{a|b}", "{a", "__a__", ":1")  # fmt: skip


def hostile(part: str) -> str:
    """As often as may be, one after the other, then words."""
    times = MOST_MARKS // marks(part) if marks(part) else LENGTH
    text = part * min(times, LENGTH // len(part))
    return text + WORDS * ((LENGTH - len(text)) // len(WORDS))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unlimited", action="store_true")
    unlimited = parser.parse_args().unlimited
    print("text repeated".ljust(28), *(name.rjust(10) for name in READERS))
    for part in TEXTS:
        text = part * (LENGTH // len(part)) if unlimited else hostile(part)
        cells: list[str] = []
        for reader in READERS.values():
            gc.collect()
            began = time.process_time()
            reader(text)
            cells.append(f"{(time.process_time() - began) * 1000:.0f}".rjust(10))
        print(repr(part[:24]).ljust(28), *cells)


if __name__ == "__main__":
    main()
