"""What a bug report must not hold, in the shapes it comes in; and ordinary lines stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.machine.masking import mask, private
from modules.users.passwords import new_token

SECRET = "geheim123456"


@pytest.mark.parametrize(
    "line",
    [
        f"flags: --gradio-auth me:{SECRET} --listen",
        f"--api-auth=you:{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"'authorization': 'Basic {SECRET}=='",
        f"GET http://me:{SECRET}@example.org/x",
        f"password={SECRET}&user=me",
        f'{{"api_key": "{SECRET}"}}',
        f"token: {SECRET}, next",
        f"Cookie: {SECRET}",
        f"hf_{SECRET}abcdef",
        f"known words {SECRET} without a name",
    ],
)
def test_secrets_are_hidden(line: str):
    told = mask(line, [SECRET] if "known" in line else [])
    assert SECRET not in told
    assert "(hidden)" in told


def test_our_own_tokens_are_hidden():
    token = new_token()
    assert token not in mask(f"with {token} it works")


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-22 01:30:57,956 INFO darkroom: Darkroom 0.1.0 begins",
        "75 tokens, 3 chunks; http://127.0.0.1:7860/ at step 5",
        "ValueError: the basic size is 512x512",
        "Loading weights: 100%|##| 52/52 [00:00<00:00, 495.61it/s]",
    ],
)
def test_ordinary_lines_stay(line: str):
    assert mask(line, ["abc", ""]) == line


def test_the_home_folder_is_a_tilde():
    assert private(f"{Path.home()}/models") == "~/models"
