"""Extensions brought in from folders, archives and repositories, updated, taken away and put back."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from modules.faults import RequestFault, UnknownName
from modules.folders import Folders
from modules.plugins import git, removal
from modules.plugins.bringing import bring, is_remote
from modules.plugins.steward import Steward
from modules.settings import SettingsStore


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.at(tmp_path / "data")


@pytest.fixture
def steward(folders: Folders) -> Steward:
    return Steward(folders, SettingsStore(folders.config_file), {})


def made(base: Path, name: str, **files: str) -> Path:
    """An extension's folder."""
    for path, text in ({"scripts/one.py": "x = 1\n"} | files).items():
        (base / name / path).parent.mkdir(parents=True, exist_ok=True)
        (base / name / path).write_text(text)
    return base / name


def committed(folder: Path, words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", words]):
        subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


def test_a_folder_is_copied_and_nothing_half_is_left(folders: Folders, tmp_path: Path):
    place = bring(str(made(tmp_path, "Wheel")), folders)
    assert place == folders.data / "extensions" / "Wheel"
    assert (place / "scripts" / "one.py").read_text() == "x = 1\n"
    with pytest.raises(RequestFault, match="already"):
        bring(str(tmp_path / "Wheel"), folders)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestFault, match="is no extension"):
        bring(str(tmp_path / "empty"), folders)
    assert [p.name for p in (folders.data / "extensions").iterdir()] == ["Wheel"]


def test_an_archive_gives_its_one_folder_without_the_name_of_its_branch(folders: Folders, tmp_path: Path):
    made(tmp_path / "in", "wheel-main")
    archive = shutil.make_archive(str(tmp_path / "download"), "zip", tmp_path / "in")
    assert bring(archive, folders).name == "wheel"
    flat = shutil.make_archive(str(tmp_path / "flat"), "zip", tmp_path / "in" / "wheel-main")
    assert (bring(flat, folders) / "scripts" / "one.py").is_file()


@pytest.mark.parametrize("name", ["../out.py", "/out.py", "C:/out.py", "a\\..\\..\\out.py"])
def test_an_archive_cannot_reach_out_of_its_folder(folders: Folders, tmp_path: Path, name: str):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("scripts/one.py", "")
        archive.writestr(name, "print('out')")
    with pytest.raises(RequestFault, match="outside its folder"):
        bring(str(tmp_path / "bad.zip"), folders)
    assert not list(tmp_path.rglob("out.py"))


@pytest.mark.parametrize("source", ["", "http://example.org/a.git", "ext::sh -c true", "file:///etc", "nowhere", "--upload-pack=x"])
def test_what_is_no_source_is_refused_in_words(folders: Folders, source: str):
    with pytest.raises(RequestFault, match="source"):
        bring(source, folders)


def test_which_sources_are_on_other_machines():
    assert [is_remote(s) for s in ("https://a/b", "git@a.org:b/c.git", "/a/b", "C:\\a\\b", "a.zip")] == [True, True, False, False, False]


def test_a_repository_is_followed(steward: Steward, tmp_path: Path):
    source = made(tmp_path, "wheel")
    committed(source, "first")
    git.run(tmp_path, "clone", "--quiet", str(source), str(steward.folders.data / "extensions" / "wheel"))
    assert steward.look_for_updates(print) == {"wheel": {"behind": 0, "said": "latest"}}
    made(tmp_path, "wheel", **{"scripts/one.py": "x = 2\n"})
    committed(source, "second")
    assert steward.look_for_updates(print)["wheel"] == {"behind": 1, "said": "behind by 1: second"}
    own = steward.folders.data / "extensions" / "wheel" / "scripts" / "one.py"
    own.write_text("mine\n")
    with pytest.raises(git.GitFault, match=r"changed here \(scripts/one.py\)"):
        steward.update("wheel", print)
    assert own.read_text() == "mine\n"
    git.run(own.parent, "checkout", "--quiet", ".")
    assert "is now" in steward.update("wheel", print)[0]
    assert own.read_text() == "x = 2\n"
    shutil.rmtree(source)
    assert steward.look_for_updates(print)["wheel"]["behind"] is None


def test_a_folder_without_git_never_asks_the_repository_around_it(steward: Steward, tmp_path: Path):
    bring(str(made(tmp_path, "wheel")), steward.folders)
    committed(steward.folders.data, "around it")
    assert steward.look_for_updates(print) == {}
    with pytest.raises(git.GitFault, match="did not come by git"):
        steward.update("wheel", print)


def test_removed_is_in_the_bin_and_comes_back(steward: Steward, tmp_path: Path):
    steward.install(str(made(tmp_path, "Wheel")), print)
    place = steward.remove("wheel")
    assert [one.name for one in steward.all() if not one.builtin] == []
    assert [row["name"] for row in removal.binned(steward.folders)] == ["Wheel"]
    assert steward.restore(place) == "Wheel"
    assert (steward.named("WHEEL").folder / "scripts" / "one.py").is_file()
    with pytest.raises(RequestFault, match="nothing that lies in the bin"):
        steward.restore("../Wheel")
    with pytest.raises(UnknownName):
        steward.remove("nobody")


def test_switching_is_a_setting_of_the_folders_name(steward: Steward, tmp_path: Path):
    steward.install(str(made(tmp_path, "Wheel")), print)
    steward.switch("wheel", on=False)
    assert SettingsStore(steward.folders.config_file).current.disabled_extensions == ["Wheel"]
    assert not steward.named("wheel").enabled
    steward.switch("wheel", on=True)
    assert steward.named("wheel").enabled
