"""`models` on the command line: what it lists and explains, and a whole job through the real worker for files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.cli.models import WORK, main
from modules.flags import Flags, parse
from modules.knobs import knobs_of
from modules.upkeep.work import KINDS


def run(data_dir: Path, *words: str) -> int:
    return main(Flags(data_dir=str(data_dir)), words)


def test_the_command_line_knows_it():
    flags = parse(["models", "convert", "x", "--dtype", "float16", "--data-dir", "/tmp"])
    assert (flags.command, flags.rest, flags.data_dir) == ("models", ("convert", "x", "--dtype", "float16"), "/tmp")


def test_every_kind_of_work_has_a_command_with_all_its_flags(data_dir: Path, capsys: pytest.CaptureFixture[str]):
    assert {kind for kind, _, _ in WORK.values()} == set(KINDS)
    assert run(data_dir) == 0
    listed = capsys.readouterr().out
    for command, (kind, bare, _) in WORK.items():
        assert command in listed
        assert run(data_dir, command, "--help") == 0
        told = capsys.readouterr().out
        assert all(f"--{name.replace('_', '-')}" in told for name in knobs_of(KINDS[kind]))
        assert set(bare) <= set(knobs_of(KINDS[kind]))


def test_a_file_is_explained_with_a_reason_for_every_family(data_dir: Path, capsys: pytest.CaptureFixture[str], starter_path: Path):
    lora = data_dir / "x.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.ones(4, 8), "lora_unet_x.lora_up.weight": torch.ones(8, 4)}, lora)
    assert run(data_dir, "info", str(lora)) == 0
    told = capsys.readouterr().out
    assert told.startswith("kind: lora")
    assert told.count(": no; ") == 5
    assert run(data_dir, "info", str(starter_path)) == 0
    assert ": yes (" in capsys.readouterr().out


def test_lists(data_dir: Path, capsys: pytest.CaptureFixture[str]):
    assert run(data_dir, "list") == 0
    assert "darkroom-starter" in capsys.readouterr().out
    assert run(data_dir, "known") == 0
    assert "CreativeML" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mix"], "There is no command models mix"),
        (["convert"], "source: is needed to convert"),
        (["convert", "darkroom-starter", "--dtype", "int2"], "dtype: must be one of"),
        (["convert", "darkroom-starter", "--dytpe", "x"], "did you mean --dtype"),
        (["merge", "nobody", "darkroom-starter"], "there is no model_a of that name"),
        (["download", "http://example.org/x.safetensors"], "must begin with https://"),
        (["info"], "one file or folder is needed"),
    ],
)
def test_what_is_wrong_is_told_with_status_2(data_dir: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert run(data_dir, *words) == 2
    assert told in capsys.readouterr().err


def test_a_pickle_is_rescued_by_the_worker_for_files(data_dir: Path, capsys: pytest.CaptureFixture[str]):
    folder = data_dir / "models" / "embeddings"
    folder.mkdir(parents=True)
    vectors = torch.randn(2, 768)
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "mine"}, folder / "mine.pt")
    assert run(data_dir, "unpickle", "mine.pt") == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(folder / "mine.safetensors")
    assert torch.equal(load_file(told.out.strip())["emb_params"], vectors)
    assert run(data_dir, "unpickle", "mine.pt") == 2
    assert "already in embeddings" in capsys.readouterr().err
