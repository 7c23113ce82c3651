"""Tools that are not built in are refused with the field and the files they will need."""

from __future__ import annotations

from modules.upscale.finishing import FINISHING, refusal


def test_each_is_refused_with_its_files() -> None:
    assert {tool.purpose for tool in FINISHING} == {"face restoration", "background removal"}
    for tool in FINISHING:
        fault = refusal(tool)
        assert fault.field == tool.field
        assert tool.name in fault.message
        assert f"models/{tool.folder}/{tool.files[0]}.safetensors" in fault.message
