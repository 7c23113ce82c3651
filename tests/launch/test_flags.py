"""The command line: types, sub-commands, close matches, masked passwords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.flags import COMMANDS, Flags, help_text, parse, spelling, table
from tests.house.tree import Tree


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        parse(words)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_nothing_means_the_page_on_7860():
    flags = parse([])
    assert (flags.command, flags.port, flags.host, flags.rest) == ("ui", 7860, "127.0.0.1", ())


def test_without_the_page_the_port_is_a1111s_7861():
    assert parse(["--nowebui"]).port == 7861
    assert parse(["--nowebui", "--port", "7000"]).port == 7000


def test_values_have_their_types():
    flags = parse(["--port=8000", "--device-id", "1", "--use-cpu", "all", "--lowvram", "--data_dir", "a b", "--theme", "dark"])
    assert (flags.port, flags.device_id, flags.use_cpu, flags.lowvram, flags.data_dir, flags.theme) == (
        8000,
        1,
        ("all",),
        True,
        "a b",
        "dark",
    )


def test_several_things_can_work_on_the_processor(capsys: pytest.CaptureFixture[str]):
    assert parse(["--use-cpu", "vae", "--use-cpu", "text_encoder"]).use_cpu == ("vae", "text_encoder")
    with pytest.raises(SystemExit):
        parse(["--use-cpu", "esrgan"])
    assert "all or vae or text_encoder or interrogate" in capsys.readouterr().err


def test_listen_and_server_name_set_the_host():
    assert parse(["--listen"]).host == "0.0.0.0"
    assert parse(["--listen", "--server-name", "10.0.0.3"]).host == "10.0.0.3"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--prot", "1"], "did you mean --port"),
        (["--nohalf"], "did you mean --no-half"),
        (["--quite-unknown-thing"], "--help lists them all"),
        (["tets"], "did you mean test"),
        (["--port", "x"], "whole number from 1 to 65535"),
        (["--port", "70000"], "whole number from 1 to 65535"),
        (["--port"], "needs a value"),
        (["--data-dir", "--listen"], "needs a value"),
        (["--listen=1"], "takes no value"),
        (["--precision", "double"], "full or half or fastest or autocast"),
        (["--lowvram", "--medvram"], "exclude each other"),
        (["--precision", "half", "--no-half"], "exclude each other"),
        (["--share", "--insecure-no-auth"], "never without a password"),
        (["--tls-keyfile", "k"], "belong together"),
        (["doctor", "extra"], "no command 'extra'"),
    ],
)
def test_what_is_wrong_is_said_and_exits_2(words: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert told in refused(capsys, *words)


def test_words_after_some_commands_are_theirs_in_order():
    flags = parse(["--lowvram", "txt2img", "--steps", "20", "--seed", "-1", "a red apple", "--data-dir", "x"])
    assert flags.rest == ("--steps", "20", "--seed", "-1", "a red apple")
    assert (flags.command, flags.lowvram, flags.data_dir) == ("txt2img", True, "x")
    assert parse(["test", "-k", "name", "--no-venv"]).rest == ("-k", "name")
    assert parse(["test", "--help"]).rest == ("--help",)


def test_passwords_are_in_the_data_and_not_in_the_report():
    flags = parse(["--gradio-auth", "me:geheim", "--api-auth=you:geheim", "--port", "9"])
    assert flags.to_data()["gradio_auth"] == "me:geheim"
    assert flags.given() == ["--port 9", "--gradio-auth (set)", "--api-auth (set)"]


def test_data_is_json_with_a1111s_names():
    data = json.loads(json.dumps(Flags().to_data()))
    assert set(data) == {f.name for f in table()}
    assert data["use_cpu"] == []
    assert "command" not in data


def test_help_names_every_flag_and_command(capsys: pytest.CaptureFixture[str]):
    text = help_text()
    assert all(spelling(f.name) in text for f in table())
    assert all(name in text for name in COMMANDS)
    with pytest.raises(SystemExit) as stopped:
        parse(["--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == text


def test_every_flag_is_read_somewhere():
    """A flag that nobody reads is a promise that nobody keeps. --api is taken for A1111's sake and changes nothing."""
    files = Tree.read(Path(__file__).parents[2]).under("modules", "launch.py")
    text = "\n".join(f.text for f in files if f.name != "modules/flags.py")
    own = (Path(__file__).parents[2] / "modules" / "flags.py").read_text(encoding="utf-8")
    text += own[own.index("def host") :]
    unread = [
        f.name
        for f in table()
        if not any(form in text for form in (f".{f.name}", f'"{f.name}"'))
        and f.name not in ("api", "ngrok_region", "skip_python_version_check")
    ]
    assert unread == []
