"""Whom this server asks for a password and where, allowed host names, allowed origins. From the command line and the users file.

Knows names and headers; knows nothing about ASGI (the guard does that) or about checking passwords (`Door`).
Start reading at `Access.from_flags`, then `Access.sources_for`.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from modules.faults import SetupFault
from modules.flags import Flags
from modules.users import Users

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})
API_AREAS = ("/sdapi", "/api", "/mcp", "/docs", "/redoc", "/openapi.json")
SHARED_AREAS = ("/internal",)
API, PAGE, FILE = "api", "page", "file"  # where a name comes from: --api-auth, --gradio-auth, the users file
GENERATED_USER = "darkroom"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_HEADER = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[^:\[\]/@\s,]+))(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, kw_only=True)
class Access:
    """The rules of one running server.

    api_users, page_users: name -> password of --api-auth and --gradio-auth; users: the users file. exposed: reachable from other machines.
    page: there is one, not --nowebui.
    hosts: names in a Host header that mean this server; any_ip: so does every address literal (DNS rebinding needs a name).
    origins: of --cors-allow-origins, "*" for all. generated: the password made because nobody gave one.
    """

    api_users: Mapping[str, str] = field(default_factory=dict[str, str])
    page_users: Mapping[str, str] = field(default_factory=dict[str, str])
    users: Users | None = None
    exposed: bool = False
    page: bool = True
    hosts: set[str] = field(default_factory=lambda: set(LOOPBACK_NAMES))
    any_ip: bool = False
    origins: tuple[str, ...] = ()
    origins_regex: str | None = None
    generated: str | None = None

    @classmethod
    def from_flags(cls, flags: Flags, users: Users | None = None) -> Self:
        """The rules of a command line. Raises SetupFault for credentials that cannot be read."""
        in_file = _checked(users, flags)
        remote = not is_loopback(flags.host)
        exposed = remote or flags.tunnel_name is not None
        api_users = parse_users(flags.api_auth, "--api-auth")
        page_users = {**parse_users(flags.gradio_auth, "--gradio-auth"), **_users_of_file(flags.gradio_auth_path)}
        if twice := in_file & {*api_users, *page_users}:
            raise SetupFault(f"{min(twice)} stands in the users file and on the command line too; leave the name out of one of them.")
        generated = None
        if exposed and not in_file and not api_users and not page_users and not flags.insecure_no_auth:
            generated = secrets.token_urlsafe(12)
            api_users = page_users = {GENERATED_USER: generated}
        origins = tuple(o.strip().rstrip("/") for o in (flags.cors_allow_origins or "").split(",") if o.strip())
        named = {host for origin in origins if (host := urlsplit(origin).hostname)}
        own = {socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"} if remote else set[str]()
        return cls(
            api_users=api_users,
            page_users=page_users,
            users=users,
            exposed=exposed,
            page=not flags.nowebui,
            any_ip=remote,
            hosts=set(LOOPBACK_NAMES) | named | own | ({flags.host.lower()} - WILDCARDS),
            origins=origins,
            origins_regex=flags.cors_allow_origins_regex or None,
            generated=generated,
        )

    def allow_host(self, host: str) -> None:
        """One more name of this server, e.g. the host of a share link once it is known."""
        self.hosts.add(host.lower().rstrip("."))

    def forget_host(self, host: str) -> None:
        """That name means this server no longer, e.g. because its tunnel is closed."""
        self.hosts.discard(host.lower().rstrip("."))

    def host_allowed(self, header: str) -> bool:
        """The Host header names this server."""
        match = _HOST_HEADER.fullmatch(header.strip())
        if match is None:
            return False
        name = (match["six"] or match["name"]).lower().rstrip(".")
        if name in self.hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_ip or address.is_loopback

    def origin_allowed(self, origin: str, host: str) -> bool:
        """A page of that origin may make changes here: it is our own page, or --cors-allow-origins names it."""
        if "*" in self.origins or origin.rstrip("/") in self.origins:
            return True
        if self.origins_regex and re.fullmatch(self.origins_regex, origin):
            return True
        try:
            parts = urlsplit(origin)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
            here = urlsplit(f"{parts.scheme}://{host.strip()}")
            return bool(parts.hostname) and (parts.hostname, port) == (here.hostname, here.port or _DEFAULT_PORTS.get(parts.scheme))
        except ValueError:
            return False

    def sources_for(self, path: str) -> frozenset[str]:
        """Whose names open a path: some of API, PAGE, FILE; empty when anybody may ask for it.

        The API asks for a password as soon as there is one. The page does when it has its own, or can be reached from
        elsewhere; /internal goes with the page, which calls it, but knows the API's users too. Users of the file may go anywhere,
        as far as their role lets them, and when there are some nothing is open.
        """
        filed = {FILE} if self.users is not None and self.users.known else set[str]()
        everyone = filed | ({API} if self.api_users else set()) | ({PAGE} if self.page_users else set())
        if _within(path, API_AREAS):
            return frozenset(everyone)
        own = filed | ({PAGE} if self.page_users else set())
        if not own and not (self.api_users and (self.exposed or not self.page)):
            return frozenset()
        return frozenset(everyone if _within(path, SHARED_AREAS) or not own else own)

    @property
    def asks_anywhere(self) -> bool:
        """Some path needs a name."""
        return bool(self.api_users or self.page_users or (self.users is not None and self.users.known))

    @property
    def protects_everything(self) -> bool:
        """No path is open to strangers."""
        return bool(self.sources_for("/"))


def is_loopback(host: str) -> bool:
    """The address can only be reached from this machine. A name other than localhost counts as reachable."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def parse_users(text: str | None, flag: str) -> dict[str, str]:
    """ "user:password,user2:password2" -> users. A password may hold a colon. Raises SetupFault."""
    users: dict[str, str] = {}
    for entry in re.split(r"[,\n]", text or ""):
        name, colon, password = entry.strip().partition(":")
        if not entry.strip():
            continue
        if not colon or not name or not password:
            raise SetupFault(f"{flag} takes user:password, several of them separated by commas; one of the entries is not of that form.")
        users[name] = password
    return users


def _checked(users: Users | None, flags: Flags) -> set[str]:
    """The names in the users file. Raises SetupFault when it cannot be read, or was named and is not there."""
    if users is None:
        return set()
    if flags.users_file and not users.path.is_file():
        raise SetupFault(
            f"There is no users file {users.path}. Make it with: python launch.py users add NAME --users-file {flags.users_file}"
        )
    return set(users.all())


def _users_of_file(path: str | None) -> dict[str, str]:
    if not path:
        return {}
    try:
        return parse_users(Path(path).read_text(encoding="utf-8"), "--gradio-auth-path")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupFault(f"The file of --gradio-auth-path cannot be read: {error}.") from error


def _within(path: str, areas: tuple[str, ...]) -> bool:
    return any(path == area or path.startswith(f"{area}/") for area in areas)
