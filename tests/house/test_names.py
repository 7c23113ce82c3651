"""Rules on names: A1111's module names stay free for the compat layer, and no file is called "the rest"."""

from __future__ import annotations

import ast

import pytest

from tests.house.tree import Finding, Tree, report

# Names of A1111's own modules that scripts and extensions import. `processing` is ours and offers A1111's public names later.
RESERVED = frozenset(
    """
    api cache call_queue cmd_args config_states deepbooru devices errors esrgan_model extensions extra_networks extras
    face_restoration generation_parameters_copypaste gfpgan_model codeformer_model hashes hypernetworks images img2img import_hook
    infotext_utils infotext_versions initialize initialize_util interrogate launch_utils localization lowvram mac_specific masking
    memmon modelloader models ngrok options patches paths paths_internal postprocessing processing_scripts profiling progress
    prompt_parser realesrgan_model restart rng rng_philox safe script_callbacks script_loading scripts scripts_auto_postprocessing
    scripts_postprocessing sd_disable_initialization sd_emphasis sd_hijack sd_models sd_models_config sd_models_types sd_models_xl
    sd_samplers sd_samplers_common sd_samplers_kdiffusion sd_samplers_timesteps sd_schedulers sd_unet sd_vae sd_vae_approx
    sd_vae_taesd shared shared_cmd_options shared_init shared_items shared_options shared_state styles sub_quadratic_attention
    sysinfo textual_inversion timer torch_utils txt2img ui ui_checkpoint_merger ui_common ui_components ui_extensions
    ui_extra_networks ui_gradio_extensions ui_loadsave ui_postprocessing ui_prompt_styles ui_settings ui_tempdir ui_toprow
    upscaler util xlmr
    """.split()  # noqa: SIM905 - a list of ninety quoted names is harder to read
)
BANNED = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"})
BANNED_ENDINGS = ("Manager", "Helper", "Utils", "Util")


def find_reserved(tree: Tree) -> list[Finding]:
    """Files or folders directly in modules/ that carry a name of A1111's."""
    return [
        Finding(f.name, 1, "reserved names", f"modules.{f.room} is a name of A1111's; scripts must find their own there")
        for f in tree.under("modules")
        if f.room in RESERVED
    ]


def find_banned(tree: Tree) -> list[Finding]:
    """Files, folders and classes named after nothing in particular."""
    found: list[Finding] = []
    for file in tree.under("modules", "scripts", "extensions", "benchmarks", "tests", "launch.py"):
        for part in file.module.split("."):
            if bad := sorted(BANNED & set(part.lower().split("_"))):
                found.append(Finding(file.name, 1, "banned names", f"{bad[0]!r} says nothing about what is inside"))
        for node in ast.walk(file.code):
            if isinstance(node, ast.ClassDef) and node.name.endswith(BANNED_ENDINGS):
                found.append(Finding(file.name, node.lineno, "banned names", f"class {node.name}: name what it is or does"))
    return found


def test_house_leaves_reserved_names_free():
    assert not (found := report(find_reserved(Tree.read()))), found


def test_house_has_no_banned_names():
    assert not (found := report(find_banned(Tree.read()))), found


@pytest.mark.parametrize("path", ["modules/shared.py", "modules/sd_models.py", "modules/ui/page.py", "modules/api/__init__.py"])
def test_catches_reserved_names(path: str):
    assert "reserved names" in report(find_reserved(Tree.made({path: ""})))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("modules/web/utils.py", ""),
        ("modules/jobs_common.py", ""),
        ("tests/helpers/__init__.py", ""),
        ("modules/a.py", "class JobManager:\n    pass"),
    ],
)
def test_catches_banned_names(path: str, code: str):
    assert "banned names" in report(find_banned(Tree.made({path: code})))


def test_a_reserved_name_deeper_inside_is_free():
    assert find_reserved(Tree.made({"modules/prompts/styles.py": "", "modules/processing/resolve.py": ""})) == []
