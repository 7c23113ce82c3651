"""How long the page and the first cards take with many LoRA files, while the index is new and when it is filled.

    python -m benchmarks.library [--files 20000] [--metadata-kb 4]

Writes that many small LoRA files with metadata into an empty data folder and starts the program twice: the first time it has
never seen the files and reads them in the background while the page is opened, the second time it knows them. Cards are
counted as seen when Chromium has drawn the first one after the click on their list.
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.program import Program, machine, running_program
from benchmarks.start import CHROMIUM_FLAGS, chromium

MODULES = 32
RANK, WIDTH = 1, 768


def write_loras(folder: Path, count: int, metadata_kb: float) -> None:
    """LoRA files of MODULES modules each, in folders of 500; their data is a hole."""
    metadata = {
        "ss_output_name": "",
        "ss_base_model_version": "sd_v1",
        "ss_tag_frequency": json.dumps({"x": "t" * int(metadata_kb * 1000)}),
    }
    head: dict[str, object] = {}
    end = 0
    for n in range(MODULES):
        block, attention, part = n // 6 % 3, n // 3 % 2, "kvq"[n % 3]
        module = f"lora_unet_{'down' if n < 18 else 'up'}_blocks_{block}_attentions_{attention}_transformer_blocks_0_attn2_to_{part}"
        for weight, shape in (("lora_down.weight", [RANK, WIDTH]), ("lora_up.weight", [320, RANK])):
            size = shape[0] * shape[1] * 2
            head[f"{module}.{weight}"] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
            end += size
    for n in range(count):
        path = folder / f"artist {n // 500:02}" / f"style {n:05}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**head, "__metadata__": {**metadata, "ss_output_name": f"style_{n}"}}).encode()
        with path.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + end)


def first_card(page: Page, do: str, name: str) -> float:
    """Milliseconds from an action (JavaScript) until a card with this text has been drawn, by the page's own clock."""
    script = """([action, name]) => new Promise((done) => {
      const began = performance.now();
      const names = () => [...document.querySelectorAll('.dr-model-cards li strong')];
      const seen = () => names().some((e) => e.textContent.startsWith(name) && e.offsetHeight);
      const look = () => (seen() ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look));
      eval(action);
      look();
    })"""
    return float(page.evaluate(script, [do, name]))


def visit(browser: Browser, program: Program) -> dict[str, float]:
    """One page opened from nothing, then its lists."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    began = time.perf_counter()
    page.goto(program.url, wait_until="domcontentloaded")
    page.wait_for_function("window.__booted === true", timeout=120_000)
    page.locator("#txt2img_generate").wait_for(state="visible")
    found = {"page opened to usable, s": time.perf_counter() - began}
    found["Models tab to first card, ms"] = first_card(page, "document.getElementById('tab_models-button').click()", "darkroom")
    chip = "document.querySelector('[data-do=models-kind][data-kind=lora]').click()"
    found["LoRA list to first card, ms"] = first_card(page, chip, "style 00000")
    search = (
        "const b = document.getElementById('dr_models_search'); b.value = '00999'; b.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    found["search to its card, ms"] = first_card(page, search, "style 00999")
    page.close()
    return found


def one_start(browser: Browser, data: Path) -> dict[str, float]:
    with running_program(data) as program:
        found = {"command to first answer, s": program.wait_for("/internal/ping")}
        program.wait_for("/")
        while _starting(program):
            time.sleep(0.05)
        found["command to page, s"] = time.perf_counter() - program.started_s
        found["files not read yet when the page is opened"] = program.get("/internal/models?limit=0")["unread"]
        found |= visit(browser, program)
        while program.get("/internal/models?limit=0")["unread"]:
            time.sleep(0.2)
        found["command to all files read, s"] = time.perf_counter() - program.started_s
        again = {f"again: {name}": value for name, value in visit(browser, program).items()}
    return found | again


def _starting(program: Program) -> bool:
    """The waiting page still stands in the page's place."""
    with urllib.request.urlopen(f"{program.url}/", timeout=30) as answer:
        return answer.headers.get("X-Darkroom-Page") is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--metadata-kb", type=float, default=4)
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        data = Path(folder)
        write_loras(data / "models" / "Lora", args.files, args.metadata_kb)
        browser = play.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        for title in ("index empty", "index filled"):
            print(f"-- {args.files} LoRA files, {title}")
            for name, value in one_start(browser, data).items():
                print(f"{name:46} {value:10.2f}")
        browser.close()


if __name__ == "__main__":
    main()
