"""What is written for a folder: cleaning of captions, files beside pictures and tables, the ledger of a run, ways of writing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from modules.caption import CAPTIONERS, presets
from modules.caption.cleaning import cleaned, joined, tags_of, without, words_of
from modules.caption.installed import describe
from modules.caption.ledger import FILE, Entry, Ledger, runs, settle, summary, undo
from modules.caption.sidecars import shelf_of
from modules.faults import DiskFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.processing.caption_writing import usual_writing
from modules.request.caption_folder import CSV, JSONL, OUTPUTS, Cleaning

VALUES: dict[str, Any] = {
    "min_length": 4, "max_length": 30, "num_beams": 1, "do_sample": True, "top_k": 20, "top_p": 0.8, "temperature": 0.7,
    "repetition_penalty": 1.2, "length_penalty": 0.5, "early_stopping": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "how", "wanted"),
    [
        ("a grey cat", Cleaning(replace=(("grey", "gray"), ("cat", "dog"))), "a gray dog"),
        ("a cat", Cleaning(prefix="mystyle, ", suffix=", best"), "mystyle, a cat, best"),
        ("cat, watermark, red, Watermark", Cleaning(never=("watermark",)), "cat, red"),
        ("a watermarked cat with a watermark", Cleaning(never=("watermark", "with a")), "a watermarked cat"),
        ("1girl, long hair, (smile)", Cleaning(never=("(smile)", "hair")), "1girl, long"),
        ("untouched ,  text", Cleaning(never=("no",)), "untouched ,  text"),
    ],
)
def test_captions_are_cleaned_in_order(text: str, how: Cleaning, wanted: str):
    assert cleaned(text, how) == wanted


def test_joining_and_counting():
    assert joined("a, b,", "c") == "a, b, c"
    assert joined("a", "b", before=True) == "b, a"
    assert joined(" ", "b") == "b"
    assert without("a b", ()) == "a b"
    assert tags_of(["a, b", "b, c, b", " , b"]) == [("b", 3), ("a", 1), ("c", 1)]
    assert words_of(["A cat", "a dog's tail"])[0] == ("a", 2)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_shelf_gives_back_what_was_put_and_leaves_the_rest(output: str, tmp_path: Path):
    (tmp_path / "in").mkdir()
    shelf = shelf_of(tmp_path, output)
    assert shelf.get("in/a.png") is None
    shelf.put("in/a.png", 'ein Käfer, "rot"\nzwei')
    shelf.put("b.png", "b")
    shelf.flush()
    again = shelf_of(tmp_path, output)
    assert (again.get("in/a.png"), again.get("b.png")) == ('ein Käfer, "rot"\nzwei', "b")
    again.put("b.png", None)
    again.flush()
    assert shelf_of(tmp_path, output).get("b.png") is None
    again.put("in/a.png", None)
    again.flush()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("output", OUTPUTS)
def test_many_are_put_together(output: str, tmp_path: Path):
    wanted = {f"{'in/' * (n % 2)}{n}.png": f"caption {n}" for n in range(20)}
    shelf = shelf_of(tmp_path, output)
    shelf.put_all(wanted)
    shelf.flush()
    again = shelf_of(tmp_path, output)
    assert {name: again.get(name) for name in wanted} == wanted
    again.put_all({**dict.fromkeys(wanted), "0.png": "stays"})
    again.flush()
    left = shelf_of(tmp_path, output)
    assert {name: text for name in wanted if (text := left.get(name)) is not None} == {"0.png": "stays"}


def test_one_that_cannot_be_written_does_not_keep_the_others_back(tmp_path: Path):
    (tmp_path / "3.txt").mkdir()
    shelf = shelf_of(tmp_path, OUTPUTS[0])
    with pytest.raises(DiskFault, match=r"3\.txt"):
        shelf.put_all({f"{n}.png": "a" for n in range(8)})
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [f"{n}.txt" for n in range(8) if n != 3]


def test_other_entries_and_columns_of_a_table_stay(tmp_path: Path):
    (tmp_path / JSONL).write_text('{"file_name": "x.png", "text": "x", "mine": 3}\n')
    shelf = shelf_of(tmp_path, JSONL)
    shelf.put("a.png", "a")
    shelf.put("x.png", "new")
    shelf.flush()
    lines = [json.loads(line) for line in (tmp_path / JSONL).read_text().splitlines()]
    assert lines == [{"file_name": "a.png", "text": "a"}, {"file_name": "x.png", "text": "new", "mine": 3}]
    (tmp_path / CSV).write_text("file_name,text,mine\nx.png,x,3\n")
    shelf = shelf_of(tmp_path, CSV)
    shelf.put("a.png", "a, b")
    shelf.flush()
    with (tmp_path / CSV).open(newline="") as file:
        assert [*csv.DictReader(file)] == [
            {"file_name": "a.png", "text": "a, b", "mine": ""}, {"file_name": "x.png", "text": "x", "mine": "3"},
        ]  # fmt: skip
    for name, text in ((JSONL, '{"text": "no name"}\n'), (JSONL, "no json"), (CSV, "a,b\n1,2\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(RequestFault, match="move it away"):
            shelf_of(tmp_path, name)


def test_a_ledger_outlives_a_line_that_was_cut_off_and_is_settled_and_undone(folders: Folders, tmp_path: Path):
    place = tmp_path / "set"
    place.mkdir()
    (place / "b.txt").write_text("before")
    ledger = Ledger.begin(folders, "job1", {"folder": str(place), "output": ".txt"})
    shelf = shelf_of(place, ".txt")
    ledger.add([Entry("a.png", text="new a"), Entry("b.png", text="new b", before="before"), Entry("c.png", fault="is damaged")])
    ledger.add([Entry("d.png", text="there", before="there", skipped=True), Entry("e.png", text="new e")])
    shelf.put("a.png", "new a")  # the run was cut off here
    with (runs(folders) / "job1" / FILE).open("ab") as file:
        file.write(b'{"name": "f.png", "te')
    again = Ledger.open(folders, "job1")
    assert again is not None
    assert [*again.entries] == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    assert settle(again, shelf) == 2
    assert [(place / f"{name}.txt").read_text() for name in "abe"] == ["new a", "new b", "new e"]
    assert settle(again, shelf) == 0
    again.add([Entry("f.png", text="f")])
    whole = Ledger.open(folders, "job1")
    assert whole is not None
    assert whole.entries["f.png"].text == "f"
    assert {k: summary(whole)[k] for k in ("captioned", "skipped", "failed")} == {"captioned": 4, "skipped": 1, "failed": 1}
    (place / "e.txt").write_text("by hand")
    (place / "f.txt").write_text("f")
    assert undo(whole, shelf) == (3, ["e.png"])
    assert ((place / "b.txt").read_text(), (place / "e.txt").read_text()) == ("before", "by hand")
    assert not (place / "a.txt").exists()
    closed = Ledger.open(folders, "job1")
    assert closed is not None
    assert closed.undone
    assert Ledger.open(folders, "../job1") is None


def test_ways_of_writing_are_generation_configs_beside_the_model(model_of: Any, tmp_path: Path):
    import shutil

    folder = tmp_path / "mine"
    shutil.copytree(model_of("vit-gpt2"), folder)
    path = presets.save(folder, "wild", VALUES)
    config = transformers.GenerationConfig.from_pretrained(folder, path.name)
    assert (config.do_sample, config.top_k, config.temperature, config.max_new_tokens, config.min_new_tokens) == (True, 20, 0.7, 30, 4)
    assert (config.length_penalty, config.decoder_start_token_id) == (None, 1)  # no effect with one beam; the model's own stays
    config.save_pretrained(tmp_path)  # which refuses what has no effect
    assert presets.names(folder) == ["wild"]
    found = describe(folder)
    kind = CAPTIONERS.get(found.kind)
    assert usual_writing(found, kind, "wild") == {**VALUES, "length_penalty": 1.0, "early_stopping": True}
    assert usual_writing(found, kind)["num_beams"] == 3
    presets.save(folder, "", {**VALUES, "do_sample": False, "num_beams": 4, "min_length": 0})
    own = json.loads((folder / "generation_config.json").read_text())
    assert (own["num_beams"], own["length_penalty"], "temperature" in own, own["pad_token_id"]) == (4, 0.5, False, 0)
    assert usual_writing(describe(folder), kind)["num_beams"] == 4
    presets.remove(folder, "wild")
    for call in (presets.read, presets.remove):
        with pytest.raises(UnknownName):
            call(folder, "wild")
    for name in ("../x", "a/b", "x" * 61, ".."):
        with pytest.raises(RequestFault):
            presets.save(folder, name, VALUES)
