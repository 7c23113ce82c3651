"""Downloads against a real server on this machine: cut, resumed, changed, refused; and which addresses are never asked."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import shutil
import socket
from pathlib import Path

import pytest

from modules.faults import Cancelled, DiskFault, RequestFault
from modules.upkeep.fetch import Wanted, fetch
from modules.upkeep.reach import Broken, DownloadFault, Reach, is_public, public_address
from tests.upkeep.web import Page, Site

BODY = bytes(range(256)) * 20_000  # 5 MB
SHA = hashlib.sha256(BODY).hexdigest()


def get(site: Site, folder: Path, path: str = "/m.safetensors", *, stop=lambda: False, seen=None, **wanted: object) -> Path:
    note = (lambda got, total: seen.append((got, total))) if seen is not None else (lambda *_: None)
    return fetch(Wanted(url=site.url(path), folder=folder, **wanted), site.reach, note, stop)


def test_a_file_arrives_whole_with_progress_and_leaves_nothing_else(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(BODY)
    seen: list[tuple[int, int | None]] = []
    path = get(site, tmp_path, sha256=SHA, seen=seen)
    assert path.read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    assert seen[-1] == (len(BODY), len(BODY))
    assert [got for got, _ in seen] == sorted(got for got, _ in seen)


def test_cut_connections_are_taken_up_where_they_broke(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(BODY, cuts=[1_500_000, 700_000, 0, 1_000_000])
    assert get(site, tmp_path, name="m.safetensors", sha256=SHA).read_bytes() == BODY
    starts = [int(span.removeprefix("bytes=").rstrip("-") or 0) for _, span in site.asked]
    assert starts == [0, 1_500_000, 2_200_000, 2_200_000, 3_200_000]


def test_a_server_that_stays_broken_is_given_up_and_the_part_is_kept_for_the_next_start(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(BODY, cuts=[2_000_000, *[0] * 20])
    with pytest.raises(DownloadFault, match="Start it again; it goes on"):
        get(site, tmp_path, sha256=SHA)
    assert (tmp_path / "m.safetensors.part").stat().st_size == 2_000_000
    site.files["/m.safetensors"].cuts = []
    site.asked.clear()
    assert get(site, tmp_path, sha256=SHA).read_bytes() == BODY
    assert ("/m.safetensors", "bytes=2000000-") in site.asked


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(b"old" * 900_000, cuts=[1_000_000, *[0] * 9])
    with pytest.raises(DownloadFault):
        get(site, tmp_path)
    site.files["/m.safetensors"] = Page(BODY)
    assert get(site, tmp_path, name="m.safetensors").read_bytes() == BODY


def test_a_server_that_knows_no_ranges_starts_over(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(BODY, cuts=[1_000_000], ranges=False)
    assert get(site, tmp_path, sha256=SHA).read_bytes() == BODY


def test_a_part_that_is_already_whole_is_not_fetched_again(site: Site, tmp_path: Path):
    page = site.files["/m.safetensors"] = Page(BODY)
    (tmp_path / "m.safetensors.part").write_bytes(BODY)
    (tmp_path / "m.safetensors.part.json").write_text(json.dumps({"url": site.url("/m.safetensors"), "version": page.etag}))
    assert get(site, tmp_path, name="m.safetensors", sha256=SHA).read_bytes() == BODY
    assert site.asked == [("/m.safetensors", f"bytes={len(BODY)}-")]


def test_a_wrong_digest_leaves_nothing(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(BODY)
    with pytest.raises(DownloadFault, match="not what was announced"):
        get(site, tmp_path, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_another_size_than_announced_is_refused_before_a_byte_is_kept(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(BODY)
    with pytest.raises(DownloadFault, match="were announced"):
        get(site, tmp_path, size_bytes=17)
    assert list(tmp_path.iterdir()) == []


def test_no_room_on_the_disk_is_said_with_figures(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    site.files["/m.safetensors"] = Page(BODY)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(DiskFault, match=r"needs 5\.1 MB and 0\.5 GB to spare, but the disk of .* has 1\.0 MB free"):
        get(site, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_download_keeps_its_part(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(BODY)
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        get(site, tmp_path, stop=lambda: next(answers, True))
    assert 0 < (tmp_path / "m.safetensors.part").stat().st_size < len(BODY)


def test_a_file_that_is_there_is_never_written_over(site: Site, tmp_path: Path):
    site.files["/m.safetensors"] = Page(BODY)
    (tmp_path / "m.safetensors").write_bytes(b"mine")
    with pytest.raises(RequestFault, match="already in"):
        get(site, tmp_path)
    assert (tmp_path / "m.safetensors").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="nice model.safetensors"', "nice model.safetensors"),
        ("attachment; filename*=UTF-8''caf%C3%A9.safetensors", "café.safetensors"),
        ('attachment; filename="../../etc/evil.safetensors"', "evil.safetensors"),
        ('attachment; filename="C:\\\\temp\\\\evil.safetensors"', "evil.safetensors"),
    ],
)
def test_the_servers_name_is_taken_without_its_folders(site: Site, tmp_path: Path, header: str, name: str):
    site.files["/api/download/7"] = Page(BODY, headers={"Content-Disposition": header})
    assert get(site, tmp_path, "/api/download/7", suffixes=(".safetensors",)) == tmp_path / name


def test_what_is_no_model_file_is_refused_by_its_name(site: Site, tmp_path: Path):
    site.files["/setup.exe"] = Page(BODY)
    with pytest.raises(RequestFault, match="no model file"):
        get(site, tmp_path, "/setup.exe", suffixes=(".safetensors",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "words"), [(401, "Accept the model's licence"), (404, "no such file"), (418, "HTTP 418")])
def test_refusals_are_told_in_words(site: Site, tmp_path: Path, status: int, words: str):
    site.files["/m.safetensors"] = Page(b"", status=status)
    with pytest.raises(DownloadFault, match=words):
        get(site, tmp_path)


def test_redirects_are_followed_and_checked(site: Site, tmp_path: Path):
    site.files["/a"] = Page(b"", status=302, headers={"Location": "/b.safetensors"})
    site.files["/b.safetensors"] = Page(BODY)
    assert get(site, tmp_path, "/a").name == "b.safetensors"
    site.files["/round"] = Page(b"", status=302, headers={"Location": "/round"})
    with pytest.raises(DownloadFault, match="without end"):
        get(site, tmp_path, "/round")


@pytest.mark.parametrize(
    "place",
    [
        "http://example.org/x.safetensors",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://192.168.1.1/x",
        "https://10.0.0.7:8443/x",
        "https://0.0.0.0/x",
        "https://2130706433/x",
        "http://127.0.0.1:1/x",
    ],
)
def test_a_redirect_never_leads_into_the_private_network_or_off_https(site: Site, tmp_path: Path, place: str):
    site.files["/a"] = Page(b"", status=302, headers={"Location": place})
    with pytest.raises(RequestFault, match=r"only https is followed|private network"):
        get(site, tmp_path, "/a", name="x.safetensors")
    with pytest.raises(RequestFault, match=r"only https is followed|private network"):
        Reach().get(place)


def test_without_the_switch_of_the_tests_even_this_machine_is_out_of_reach(site: Site):
    with pytest.raises(RequestFault, match="only https is followed"):
        Reach().get(site.url("/m.safetensors"))
    assert site.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("100.64.0.1", False),
        ("172.16.5.4", False),
        ("224.0.0.1", False),
        ("198.51.100.7", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool):
    assert is_public(ipaddress.ip_address(address)) is public


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch):
    def answers(*addresses: str):
        return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answers("8.8.8.8", "10.0.0.1"))
    with pytest.raises(RequestFault, match="private network"):
        public_address("rebinding.example", 443)
    monkeypatch.setattr(socket, "getaddrinfo", answers("8.8.8.8", "1.1.1.1"))
    assert public_address("fine.example", 443) == "1.1.1.1"


def test_a_proxy_of_the_system_is_used_but_never_for_private_addresses(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("https_proxy", f"http://me:pass@127.0.0.1:{site.port}")
    with pytest.raises(Broken, match="403"):
        Reach().get("https://models.example/m.safetensors")
    assert site.asked == [("models.example:443", "Basic bWU6cGFzcw==")]
    with pytest.raises(RequestFault, match="private network"):
        Reach().get("https://10.0.0.1/m.safetensors")
    assert len(site.asked) == 1


def test_keys_are_shown_to_their_own_host_only(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    site.files["/m.safetensors"] = Page(BODY)
    get(site, tmp_path)
    assert "secret" not in json.dumps(site.told)
