"""The list of upscalers: A1111's names first, every file once, refusals in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from modules.folders import Folders
from modules.upscale.table import LATENT_MODES, Upscaler, scale_in_name, upscaler_files, upscalers


def test_the_first_three_are_a1111s() -> None:
    rows = upscalers()
    assert rows.names() == ["None", "Lanczos", "Nearest"]
    assert [row.scale for _, row in rows] == [4, 4, 4]
    assert rows.get("lanczos").resample is Image.Resampling.LANCZOS
    assert rows.get("Nearest").resample is Image.Resampling.NEAREST
    assert rows.get("None") == Upscaler(name="None")


def test_the_latent_modes_in_order() -> None:
    assert list(LATENT_MODES) == [
        "Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)", "Latent (nearest-exact)",
    ]  # fmt: skip
    assert [(m.mode, m.antialias) for m in LATENT_MODES.values()] == [
        ("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True), ("nearest", False), ("nearest-exact", False),
    ]  # fmt: skip


def test_files_get_rows_and_a1111s_names_find_them() -> None:
    plain, anime = Path("/m/ESRGAN/4x-Sharp.safetensors"), Path("/m/RealESRGAN/RealESRGAN_x4plus_anime_6B.safetensors")
    rows = upscalers([("4x-Sharp", plain), ("RealESRGAN_x4plus_anime_6B", anime)])
    assert rows.names()[3:] == ["4x-Sharp", "RealESRGAN_x4plus_anime_6B"]
    assert rows.get("R-ESRGAN 4x+ Anime6B").path == anime
    assert rows.get("4x-sharp").path == plain


def test_the_same_name_twice_gets_its_folder() -> None:
    files = [("a", Path("/m/ESRGAN/a.safetensors")), ("A", Path("/m/DAT/A.safetensors")), ("nearest", Path("/m/DAT/nearest.safetensors"))]
    assert upscalers(files).names()[3:] == ["a", "DAT/A", "DAT/nearest"]


@pytest.mark.parametrize(
    ("stem", "scale"),
    [
        ("4x-UltraSharp", 4), ("RealESRGAN_x2plus", 2), ("2x_thing", 2), ("1x-denoise", 1), ("realesr-general-x4v3", 4), ("plain", 4),
        ("net_64x64", 4), ("8xnet", 4), ("foo-8X", 8),
    ],
)  # fmt: skip
def test_scale_in_name(stem: str, scale: int) -> None:
    assert scale_in_name(stem) == scale


def test_files_are_found_in_every_folder(tmp_path: Path) -> None:
    for name in ("ESRGAN/b.safetensors", "ESRGAN/deep/er/C.safetensors", "DAT/a.sft", "SwinIR/old.pth", "ESRGAN/.hidden.safetensors",
                 "ESRGAN/note.txt", "Lora/not.safetensors"):  # fmt: skip
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found, refused = upscaler_files(Folders.at(tmp_path))
    assert [name for name, path in found if path.is_relative_to(tmp_path)] == ["a", "b", "C"]
    assert [path.name for path in refused] == ["old.pth"]
    assert "Convert it on the Models tab" in next(iter(refused.values()))
