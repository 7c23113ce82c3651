"""Files on a machine that works for another one: pieces, digests, names, and the limit of space."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from modules.cluster.blobs import Blobs
from modules.faults import ModelFault

APPLE, PEAR = b"apple" * 1000, b"pear" * 1000


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sent(blobs: Blobs, data: bytes, piece: int = 700) -> str:
    name = digest(data)
    for begin in range(0, len(data), piece):
        assert blobs.put(name, begin, data[begin : begin + piece]) == min(begin + piece, len(data))
    blobs.finish(name)
    return name


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", 10_000)


def test_a_file_comes_in_pieces_and_goes_on_where_it_stopped(blobs: Blobs, tmp_path: Path):
    name = digest(APPLE)
    assert blobs.have(name) == (0, False)
    assert blobs.put(name, 0, APPLE[:1234]) == 1234
    again = Blobs(tmp_path / "blobs", 10_000)  # after a restart
    assert again.have(name) == (1234, False)
    assert again.put(name, 0, APPLE[:99]) == 1234, "a piece that is here already changes nothing"
    assert again.put(name, 2000, APPLE[2000:]) == 1234, "nor one that leaves a gap"
    assert again.put(name, 1234, APPLE[1234:]) == len(APPLE)
    again.finish(name)
    assert blobs.have(name) == (len(APPLE), True)
    assert blobs.put(name, len(APPLE), b"more") == len(APPLE), "what is whole stays as it is"


def test_a_damaged_file_is_thrown_away(blobs: Blobs):
    name = digest(APPLE)
    blobs.put(name, 0, APPLE[:-1] + b"?")
    with pytest.raises(ModelFault, match="damaged"):
        blobs.finish(name)
    assert blobs.have(name) == (0, False)
    assert sent(blobs, APPLE) == name


def test_files_have_their_names_again(blobs: Blobs):
    a, b = sent(blobs, APPLE), sent(blobs, PEAR)
    single = blobs.view("fruit.safetensors", {"": a})
    assert (single.name, single.read_bytes()) == ("fruit.safetensors", APPLE)
    folder = blobs.view("fruit", {"unet/weights.safetensors": a, "model_index.json": b})
    assert (folder / "unet" / "weights.safetensors").read_bytes() == APPLE
    assert (folder / "model_index.json").read_bytes() == PEAR
    assert blobs.view("fruit.safetensors", {"": a}) == single
    assert blobs.view("fruit.safetensors", {"": b}) != single


@pytest.mark.parametrize("below", ["../out", "/etc/passwd", "a/../../b"])
def test_a_name_cannot_lead_out(blobs: Blobs, below: str):
    with pytest.raises(ValueError, match="leads out"):
        blobs.view("fruit", {below: sent(blobs, APPLE)})


@pytest.mark.parametrize("name", ["", "../x", "0" * 63, "Z" * 64])
def test_only_digests_are_names(blobs: Blobs, name: str):
    with pytest.raises(ValueError, match="no SHA-256"):
        blobs.have(name)


def test_what_was_used_longest_ago_makes_room(blobs: Blobs):
    a, b = sent(blobs, APPLE), sent(blobs, PEAR)
    seen = {name: blobs.view(name, {"": name}) for name in (a, b)}
    blobs.make_room(5000, needed=())
    assert blobs.have(b)[1], "a job of these minutes needs it"
    for hours, name in ((20, b), (10, a)):
        path = blobs._path(name)
        os.utime(path, (path.stat().st_atime - hours * 3600, path.stat().st_mtime))
    blobs.make_room(500, needed=())
    assert blobs.have(b)[1], "there is room"
    blobs.make_room(5000, needed=())
    assert (blobs.have(a)[1], blobs.have(b)[1]) == (True, False)
    assert not seen[b].exists(), "its bytes would not come back to the disk otherwise"
    assert seen[a].read_bytes() == APPLE
    blobs.make_room(9000, needed=(a,))
    assert blobs.have(a)[1], "the job needs it"
    with pytest.raises(ModelFault, match="not whole"):
        blobs.view("again", {"": b})


def test_what_could_be_held_is_told_without_removing_anything(blobs: Blobs):
    a, b = sent(blobs, APPLE), sent(blobs, PEAR)
    assert blobs.could_hold(1000, needed=())
    assert not blobs.could_hold(1001, needed=()), "all was used lately"
    path = blobs._path(a)
    os.utime(path, (path.stat().st_atime - 36_000, path.stat().st_mtime))
    assert blobs.could_hold(6000, needed=(b,))
    assert not blobs.could_hold(6001, needed=(b,))
    assert not blobs.could_hold(1001, needed=(a,))
    assert blobs.have(a)[1]
    assert blobs.have(b)[1]
