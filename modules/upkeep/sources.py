"""Where a download comes from, as a person writes it: an https address, or a repository or file of the hub.

Knows how addresses are written; opens none. Start reading at `parse_source`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from modules.faults import RequestFault

HUB = "https://huggingface.co"
_REPOSITORY = re.compile(
    r"(?P<repo>[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95})(@(?P<revision>[A-Za-z0-9._/-]{1,100}))?(:(?P<file>.+))?"
)
_HUB_PAGE = re.compile(r"/(?P<repo>[^/]+/[^/]+)(/(blob|resolve)/(?P<revision>[^/]+)/(?P<file>.+)|/tree/(?P<tree>[^/]+))?/?")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Either url, or repo with revision and perhaps a file in it. text: as `parse_source` reads it again."""

    text: str
    url: str | None = None
    repo: str | None = None
    revision: str = "main"
    file: str | None = None

    @property
    def shown(self) -> str:
        """For people, without the query, which may hold a key."""
        return self.text if self.url is None else self.url.partition("?")[0]

    @property
    def likely_name(self) -> str:
        """The name that the file will most likely have, "" when only its server can tell."""
        if self.repo is not None:
            return (self.file or self.repo).rpartition("/")[2]
        name = unquote(urlsplit(self.url or "").path.rpartition("/")[2])
        return name if "." in name else ""


def parse_source(text: str) -> Source:
    """Reads "https://…", "org/name", "org/name:file", "org/name@revision:file". A page of the hub means what it shows.

    Raises RequestFault("source").
    """
    text = text.strip()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        return _address(text)
    match = _REPOSITORY.fullmatch(text)
    if match is None:
        raise RequestFault("source", "must be an https address, or org/name or org/name:file of the hub", got=text)
    return _in_hub(match["repo"], match["revision"], match["file"])


def _address(text: str) -> Source:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RequestFault("source", f"is no address: {error}", got=text) from error
    if parts.scheme.lower() != "https" or not host:
        raise RequestFault("source", "must begin with https://, so that nobody can change the file on its way", got=text)
    if parts.username or parts.password:
        raise RequestFault("source", "must not hold a user name or password")
    if f"https://{host}" == HUB and port in (None, 443) and (page := _HUB_PAGE.fullmatch(unquote(parts.path))):
        return _in_hub(page["repo"], page["revision"] or page["tree"], page["file"])
    return Source(text=text, url=text)


def _in_hub(repo: str, revision: str | None, file: str | None) -> Source:
    if file is not None and (file.startswith("/") or ".." in file.split("/") or "\\" in file):
        raise RequestFault("source", "names no file of the repository", got=file)
    revision = revision or "main"
    text = repo + ("" if revision == "main" else f"@{revision}") + (f":{file}" if file else "")
    return Source(text=text, repo=repo, revision=revision, file=file)
