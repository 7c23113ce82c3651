"""The only way out to other machines: one GET over https, to public addresses, each redirect checked anew.

A name may point into the home network, or at the machine itself (server-side request forgery). So the address is looked up here,
once, checked, and that very address is connected to; the certificate is checked against the name. Knows nothing about files.
Start reading at `Reach.get`.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

from modules import __version__
from modules.faults import Fault, RequestFault

AGENT = f"Darkroom/{__version__}"
REDIRECTS = 8
TIMEOUT_S = 30.0
PAUSES_S = (1.0, 3.0, 10.0, 20.0, 40.0)
# Host -> the environment variable whose key is shown to it, and to nobody else.
KEYS = {"huggingface.co": "HF_TOKEN", "civitai.com": "CIVITAI_TOKEN"}
PORTS = {"https": 443, "http": 80}
_REDIRECTING = (301, 302, 303, 307, 308)
_ERRORS = {
    401: "wants to know who asks. Accept the model's licence on its page, then set {key} to your access key and start the program again.",
    403: "refuses it. Accept the model's licence on its page, then set {key} to your access key and start the program again.",
    404: "has no such file.",
    410: "no longer has this file.",
    429: "has had too many requests. Try again later.",
    451: "may not give it out.",
}


class DownloadFault(Fault):
    """A file could not be fetched. Says from where, why, and what to do."""

    kind = "download"


class Broken(Exception):
    """The connection broke or the server was out of order; trying again may help."""


@dataclass
class Answer:
    """A response that is being read. status: 200 or 206; headers in lower case."""

    status: int
    headers: dict[str, str]
    url: str
    _response: http.client.HTTPResponse
    _connection: http.client.HTTPConnection
    _limit: _Limit | None = None

    def read(self, size: int) -> bytes:
        """The next bytes, b"" at the end. Raises Broken."""
        try:
            found = self._response.read(size)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Broken(self._too_slow or str(error) or type(error).__name__) from error
        if self._too_slow:
            raise Broken(self._too_slow)
        return found

    @property
    def _too_slow(self) -> str:
        return "it took too long" if self._limit is not None and self._limit.over else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._limit is not None:
            self._limit.end()
        self._connection.close()


class _Limit:
    """Cuts a connection off when its time is up, however slowly bytes trickle in."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self.socket: socket.socket | None = None
        self._timer = threading.Timer(max(0.0, seconds), self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        self.over = True
        if self.socket is not None:
            with suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def end(self) -> None:
        self._timer.cancel()


def _trust() -> ssl.SSLContext:
    """The system's certificates and, for Pythons that see none, certifi's."""
    tls = ssl.create_default_context()
    tls.load_verify_locations(cafile=certifi.where())
    return tls


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Who may be asked, and how.

    schemes, ports: of the addresses that are followed, ports None for any; private: those of private networks too. agent: what we call
    ourselves; keys: hosts are shown the access keys of the environment; proxied: over the system's proxy, where there is one.
    timeout_s: of silence; whole_s: for everything, None for no limit; pauses_s: between tries.
    test_port: plain http to this port of this machine is allowed too; resolve, dial: stand-ins for the system's; for tests alone.
    """

    schemes: tuple[str, ...] = ("https",)
    ports: frozenset[int] | None = None
    private: bool = False
    agent: str = AGENT
    keys: bool = True
    proxied: bool = True
    timeout_s: float = TIMEOUT_S
    whole_s: float | None = None
    pauses_s: tuple[float, ...] = PAUSES_S
    tls: ssl.SSLContext = field(default_factory=_trust)
    test_port: int | None = None
    resolve: Callable[[str, int], set[str]] | None = None
    dial: Callable[[tuple[str, int], float], socket.socket] | None = None

    def get(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        """The answer to a GET, after redirects. Raises DownloadFault, RequestFault("source") for forbidden places, and Broken."""
        until = None if self.whole_s is None else time.monotonic() + self.whole_s
        for _ in range(REDIRECTS + 1):
            parts = self._checked(url)
            answer = self._ask(parts, url, headers or {}, until)
            if answer.status in (200, 206):
                return answer
            with answer:
                if answer.status in _REDIRECTING and "location" in answer.headers:
                    url = urljoin(url, answer.headers["location"])
                    continue
                if answer.status == 416:
                    raise RangeFault("The server has less of this file than is already here.", span=answer.headers.get("content-range"))
                raise _refusal(answer.status, parts.hostname or "")
        raise DownloadFault(f"{urlsplit(url).hostname} sends from one address to another without end. Use the file's own address.")

    def _checked(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise RequestFault("source", f"leads to something that is no address ({error})") from error
        if self._is_test(parts, port):
            return parts
        if parts.scheme not in self.schemes or not parts.hostname:
            raise RequestFault("source", f"leads to {parts.scheme}://{parts.hostname}; only {' and '.join(self.schemes)} is followed")
        if self.ports is not None and (port or PORTS[parts.scheme]) not in self.ports:
            raise RequestFault("source", f"leads to port {port}; only {', '.join(map(str, sorted(self.ports)))} are followed")
        return parts

    def _is_test(self, parts: SplitResult, port: int | None) -> bool:
        return self.test_port is not None and parts.scheme == "http" and parts.hostname == "127.0.0.1" and port == self.test_port

    def _ask(self, parts: SplitResult, url: str, headers: dict[str, str], until: float | None) -> Answer:
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        sent = {"User-Agent": self.agent, "Accept-Encoding": "identity", **headers}
        key = os.environ.get(KEYS.get(host, ""), "") if self.keys else ""
        if key:
            sent["Authorization"] = f"Bearer {key}"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = self._connection(parts, host, port)
        limit = None if until is None else _Limit(until - time.monotonic())
        try:
            connection.connect()
            if limit is not None:
                limit.socket = connection.sock
            connection.request("GET", path, headers=sent)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            if limit is not None:
                limit.end()
            connection.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise DownloadFault(f"{host} has no valid certificate ({error.verify_message}); nothing was fetched from it.") from error
            raise Broken(f"{host}: {error or type(error).__name__}") from error
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, url, response, connection, limit)

    def _connection(self, parts: SplitResult, host: str, port: int) -> http.client.HTTPConnection:
        if self._is_test(parts, parts.port):
            return http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        proxy = getproxies().get("https") if self.proxied and parts.scheme == "https" else None
        if proxy and not proxy_bypass(host):  # the proxy looks the name up; it stands where its owner's network ends
            _refuse_private(host, _literal(host))
            through = urlsplit(proxy if "//" in proxy else f"//{proxy}")
            tunnel = http.client.HTTPSConnection(through.hostname or "", through.port or 8080, timeout=self.timeout_s, context=self.tls)
            known = f"{unquote(through.username)}:{unquote(through.password or '')}" if through.username else ""
            tunnel.set_tunnel(host, port, {"Proxy-Authorization": f"Basic {b64encode(known.encode()).decode()}"} if known else {})
            return tunnel
        address = public_address(host, port, self.resolve or _addresses, private=self.private)
        return _Pinned(host, port, address, self.tls if parts.scheme == "https" else None, self.timeout_s, self.dial)


class RangeFault(DownloadFault):
    """The part that is here does not go on in the server's file. extra["span"]: what the server says about its length."""


class _Pinned(http.client.HTTPConnection):
    """Connects to the address that was checked, whatever the name says by now. tls None: plain http."""

    def __init__(
        self,
        host: str,
        port: int,
        address: str,
        tls: ssl.SSLContext | None,
        timeout_s: float,
        dial: Callable[[tuple[str, int], float], socket.socket] | None,
    ) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._address = address
        self._tls = tls
        self._timeout_s = timeout_s
        self._dial = dial or socket.create_connection
        if tls is not None:
            self.default_port = PORTS["https"]  # left out of the Host header

    def connect(self) -> None:
        raw = self._dial((self._address, self.port), self._timeout_s)
        self.sock = self._tls.wrap_socket(raw, server_hostname=self.host) if self._tls else raw


def public_address(host: str, port: int, resolve: Callable[[str, int], set[str]] | None = None, *, private: bool = False) -> str:
    """An address of a name, when all of its addresses are public. private: others do too.

    Raises RequestFault("source") otherwise, Broken when there is none.
    """
    if literal := _literal(host):
        _refuse_private(host, [] if private else literal)
        return str(literal[0])
    try:
        found = (resolve or _addresses)(host, port)
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    except (OSError, UnicodeError, ValueError) as error:
        raise Broken(f"{host} cannot be found ({error})") from error
    if not addresses:
        raise Broken(f"{host} cannot be found")
    if not private:
        _refuse_private(host, addresses)
    return str(min(addresses, key=lambda a: (a.version, str(a))))


def _addresses(host: str, port: int) -> set[str]:
    """What the system says a name stands for."""
    return {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Is this an address of the open internet? What is wrapped into an IPv6 address (mapped, 6to4, Teredo, NAT64) counts by itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        if int(address) >> 32 == 0:  # an IPv4 address written as IPv6 in the way given up long ago
            return False
    return address.is_global and not address.is_multicast


def _literal(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address that a host is written as, also in the old ways (127.1, 0x7f000001); empty for a name."""
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        return [ipaddress.IPv4Address(socket.inet_aton(host))]
    except OSError:
        return []


def _refuse_private(host: str, addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> None:
    inside = next((a for a in addresses if not is_public(a)), None)
    if inside is not None or host.lower().rstrip(".") in ("localhost", "localhost.localdomain"):
        raise RequestFault("source", f"leads into a private network ({host}); only public addresses are followed")


def _refusal(status: int, host: str) -> Exception:
    if status >= 500:
        return Broken(f"{host} is out of order (HTTP {status})")
    why = _ERRORS.get(status, f"answered with HTTP {status}.")
    return DownloadFault(f"{host} {why.format(key=KEYS.get(host, 'its access key'))}", status=status)
