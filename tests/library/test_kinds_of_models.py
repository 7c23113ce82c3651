"""Files of every kind: found, described by content, listed, looked up, refused with a reason."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modules.faults import ModelFault, UnknownName
from modules.folders import Folders
from modules.library import Library
from modules.library.describe import describe
from modules.library.index import Index
from modules.library.rows import ModelRow
from modules.request import Checkpoint
from tests.library.weight_files import EMBEDDING, LORA, VAE, write_gguf, write_safetensors

Made = Callable[[], Library]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """A library over tmp_path once everything has been walked and described; closed after the test."""
    opened: list[Library] = []

    def make() -> Library:
        library = Library(Folders.at(tmp_path))
        opened.append(library)
        library.refresh()
        wait(lambda: library.unread() == 0)
        return library

    yield make
    for library in opened:
        library.close()


def wait(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not found():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def own(library: Library, kind: str = "") -> list[ModelRow]:
    """Without those that come with the program."""
    return [row for row in library.rows(kind) if not row.name.startswith("darkroom-starter")]


def test_what_a_file_is_decides_its_list_not_where_it_lies(models: Path, made: Made):
    write_safetensors(models / "Stable-diffusion" / "lost.safetensors", LORA)
    write_safetensors(models / "loose.safetensors", EMBEDDING)
    write_safetensors(models / "Lora" / "sub" / "v.safetensors", VAE)
    library = made()
    assert [(r.name, r.place, r.architecture) for r in own(library, "lora") if r.place] == [("lost", "Stable-diffusion", "sd1")]
    assert [(r.name, r.place, dict(r.extra)) for r in library.rows("embedding")] == [("loose", "", {"vectors": 3, "width": 768})]
    assert [(r.title, r.precision, r.format) for r in library.rows("vae")] == [("sub/v.safetensors", "fp16", "safetensors")]
    shipped = Counter(row.kind for row in library.rows() if row.name.startswith("darkroom-starter"))
    assert {kind: count - shipped[kind] for kind, count in library.counts().items()} == {
        "checkpoint": 0, "lora": 1, "embedding": 1, "vae": 1, "controlnet": 0, "text_encoder": 0, "upscaler": 0, "ip_adapter": 0,
        "clip_vision": 0, "refused": 0,
    }  # fmt: skip
    assert library.refused() == {}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("old.ckpt", b"PK\x03\x04x", "Convert it on the Models tab"),
        ("empty.safetensors", b"", "is empty"),
        ("cut.safetensors", struct.pack("<Q", 5000) + b'{"a', "is cut off"),
        ("page.safetensors", b"<!DOCTYPE html><html>", "is a web page"),
        ("lying.safetensors", b"PK\x03\x04" + b"x" * 40, "under another name"),
        ("huge.safetensors", struct.pack("<Q", 2**60) + b"x" * 40, "not a safetensors file"),
        ("short.gguf", b"GGUF\x03\x00\x00\x00\x01", "cut off"),
    ],
)
def test_a_file_that_cannot_be_used_has_its_reason(models: Path, made: Made, name: str, data: bytes, words: str):
    path = models / "Stable-diffusion" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    library = made()
    assert words in library.refused()[str(path)]
    assert [r.title for r in library.rows("refused")] == [name]
    assert [c.model_name for c in library.checkpoints()] == ["darkroom-starter"]
    with pytest.raises(ModelFault, match=words):
        library.find_checkpoint(name)


def test_a_file_of_no_known_kind_names_every_familys_reason(models: Path, made: Made):
    write_safetensors(models / "Stable-diffusion" / "strange.safetensors", {"a.weight": ("F32", [2, 2])})
    [row] = made().rows("refused")
    assert len(row.extra["reasons"]) >= 5
    assert "strange.safetensors" in row.refusal


def test_a_gguf_file_is_read_like_any_other(models: Path, made: Made):
    write_gguf(models / "Stable-diffusion" / "strange.gguf", {"a.weight": (8, [64, 32], 64 * 34)})
    [row] = made().rows("refused")
    assert (row.format, row.precision, row.parameters) == ("gguf", "Q8_0", 64 * 32)


def test_a_lora_is_found_by_every_name(models: Path, made: Made):
    write_safetensors(models / "Lora" / "style" / "Ink Wash.safetensors", LORA, {"ss_output_name": "ink_v2"})
    library = made()
    [row] = own(library, "lora")
    hashed = library.hashed(row)
    data = Path(row.path).read_bytes()
    content = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
    assert hashed.short_hash == content[:12]
    for name in ("Ink Wash", "ink wash", "style/Ink Wash", "Ink Wash.safetensors", "style/Ink Wash.safetensors", "ink_v2", content[:12]):
        if "/" in name or not name.endswith(".safetensors"):
            assert library.find("lora", name).id == row.id, name
    assert library.metadata(row) == {"ss_output_name": "ink_v2"}
    with pytest.raises(UnknownName, match="Ink Wash"):
        library.find("lora", "Ink Wish")


def test_the_makers_digest_is_believed_and_the_file_not_read(models: Path, made: Made):
    told = "ab" * 32
    write_safetensors(models / "Lora" / "a.safetensors", LORA, {"sshs_model_hash": told})
    [row] = own(made(), "lora")
    assert row.short_hash == told[:12]


def test_a_file_put_there_meanwhile_is_found_and_one_taken_away_is_not(models: Path, made: Made):
    library = made()
    path = write_safetensors(models / "Lora" / "new.safetensors", LORA)
    assert library.find("lora", "new").path == str(path)
    path.unlink()
    library.refresh("lora")
    with pytest.raises(UnknownName):
        library.find("lora", "new")


def test_a_file_that_changes_is_described_anew(models: Path, made: Made):
    path = write_safetensors(models / "Lora" / "a.safetensors", LORA)
    library = made()
    write_safetensors(path, VAE)
    library.refresh()
    wait(lambda: library.unread() == 0)
    assert [len(own(library, kind)) for kind in ("lora", "vae")] == [0, 1]


def test_two_files_of_one_name_are_told_apart_by_their_folder(models: Path, made: Made):
    for folder in ("one", "two"):
        write_safetensors(models / "Lora" / folder / "same.safetensors", LORA)
    write_safetensors(models / "Lora" / "other.safetensors", LORA)
    library = made()
    rows = own(library, "lora")
    assert sorted(library.prompt_names("lora", rows).values()) == ["one/same", "other", "two/same"]
    assert library.find("lora", "two/same").title == "two/same.safetensors"


def test_search_and_pages(models: Path, made: Made):
    for n in range(30):
        write_safetensors(models / "Lora" / ("ink" if n % 2 else "oil") / f"style {n:02}_100%.safetensors", LORA)
    library = made()
    assert library.count("lora", "ink") == 15
    assert [r.name for r in library.rows("lora", "OIL style", 2, 2)] == ["style 04_100%", "style 06_100%"]
    assert library.count("lora", "0_100% oil") == 3  # 00, 10 and 20; "_" and "%" are themselves
    with pytest.raises(UnknownName, match="kind"):
        library.rows("lorra")


def test_the_vae_beside_a_checkpoint_belongs_to_it(models: Path, made: Made):
    path = models / "Stable-diffusion" / "m.safetensors"
    checkpoint = Checkpoint(title="m.safetensors", model_name="m", path=str(path), family="sd15", format="safetensors")
    library = made()
    assert library.vae_for(checkpoint) is None
    write_safetensors(models / "VAE" / "m.safetensors", VAE)
    beside = write_safetensors(models / "Stable-diffusion" / "m.vae.safetensors", VAE)
    library.refresh()
    found = library.vae_for(checkpoint)
    assert found is not None
    assert found.path == str(beside)
    beside.unlink()
    library.refresh()
    found = library.vae_for(checkpoint)
    assert found is not None
    assert found.title == "m.safetensors"


def test_links_in_a_circle_end(models: Path, made: Made):
    path = write_safetensors(models / "Lora" / "sub" / "a.safetensors", LORA)
    (path.parent / "round").symlink_to(models / "Lora", target_is_directory=True)
    (path.parent / "nowhere.safetensors").symlink_to(models / "not there")
    (models / "elsewhere").mkdir()
    write_safetensors(models / "elsewhere" / "b.safetensors", LORA)
    (models / "Lora" / "linked").symlink_to(models / "elsewhere", target_is_directory=True)
    assert [r.title for r in own(made(), "lora")] == ["sub/a.safetensors", "linked/b.safetensors"]


def test_a_file_that_shares_a_folder_with_two_kinds_has_one_row(tmp_path: Path):
    path = write_safetensors(tmp_path / "all" / "a.safetensors", LORA)
    library = Library(Folders.at(tmp_path, lora_dir=path.parent, vae_dir=path.parent))
    library.refresh()
    wait(lambda: library.unread() == 0)
    library.refresh()
    assert [r.path for r in own(library, "lora")] == [str(path)]
    assert library.unread() == 0  # nothing is described again because another kind claims it
    library.close()


def test_a_second_process_reads_the_index_while_the_first_fills_it(models: Path, made: Made, tmp_path: Path):
    write_safetensors(models / "Lora" / "a.safetensors", LORA)
    made()
    other = Library(Folders.at(tmp_path))
    assert other.find("lora", "a").architecture == "sd1"
    other.close()


def test_an_index_of_another_shape_is_made_anew_and_keeps_its_hashes(tmp_path: Path):
    path = tmp_path / "library.sqlite"
    index = Index(path)
    index.put_digest("hashes", "/a", "1", "ff")
    index._db.execute("PRAGMA user_version=99")
    index._db.execute("ALTER TABLE files DROP COLUMN extra")
    index.close()
    again = Index(path)
    assert again.counts()["lora"] == 0
    assert again._db.execute("SELECT sha256 FROM hashes").fetchone()[0] == "ff"
    again.close()


def test_names_that_are_no_text_and_half_characters_harm_nothing(models: Path, made: Made):
    (models / "Lora").mkdir(parents=True)
    with contextlib.suppress(OSError):  # some file systems refuse such names themselves
        (models / "Lora" / os.fsdecode(b"bad\xff.safetensors")).write_bytes(b"x")
    write_safetensors(models / "Lora" / "good.safetensors", LORA, {"ss_output_name": "half \ud83d"})
    [row] = own(made())
    assert (row.name, row.alias) == ("good", "half ?")


def test_much_is_read_by_a_process_of_its_own(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("modules.library.filler.MANY", 5)
    here: list[str] = []
    monkeypatch.setattr("modules.library.reader.describe", lambda found: here.append(found.title) or describe(found))
    for n in range(20):
        write_safetensors(models / "Lora" / f"{n:02}.safetensors", LORA)
    library = Library(Folders.at(tmp_path))
    wait(lambda: len(own(library, "lora")) == 20 and library.unread() == 0)
    assert {row.architecture for row in library.rows("lora")} == {"sd1"}
    assert not [title for title in here if title.endswith(".safetensors")]
    library.close()
