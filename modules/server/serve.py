"""`serve`: listens, says where, serves until a signal, and stops the app.

Knows sockets and uvicorn; knows nothing about routes. Start reading at `serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from uvicorn.server import HANDLED_SIGNALS

from modules.faults import SetupFault
from modules.flags import Flags
from modules.server.access import GENERATED_USER, WILDCARDS, Access, is_loopback
from modules.server.power import KILL
from modules.server.prompt import Prompt
from modules.server.ways import open_tunnel, say, tell
from modules.server.web_log import open_log

if TYPE_CHECKING:
    from modules.app import App

GRACE_S = 3
BACKLOG = 2048


def serve(api: FastAPI, app: App, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then stop the app. on_ready(url) is called once requests are answered; default: print the URL.

    Raises SetupFault when the address cannot be listened on.
    """
    flags, access = app.flags, api.state.access
    try:
        listener = listen(flags)
        try:
            _refuse_open_door(listener, access, flags)
            url = url_of(listener, flags)

            def began() -> None:
                api.state.startup.mark("listening")
                _announce(url, access, on_ready)
                tell(url, str(listener.getsockname()[0]), flags)
                open_tunnel(api.state.tunnel, flags)

            server = _Server(_config(api, flags), on_start=began, on_stop=api.state.closing.begin)
            api.state.power.end = server.end
            api.state.system.start()
            with _quiet_signals(), open_log(app.folders.logs):
                server.run(sockets=[listener])
        finally:
            api.state.system.stop()
            api.state.tunnel.stop()
            listener.close()
    finally:
        app.stop()


def _config(api: FastAPI, flags: Flags) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        timeout_keep_alive=flags.timeout_keep_alive or 5,
        forwarded_allow_ips=flags.forwarded_allow_ips,
        http=Prompt,
        ssl_keyfile=flags.tls_keyfile,
        ssl_certfile=flags.tls_certfile,
    )


def listen(flags: Flags) -> socket.socket:
    """A listening socket on the address of the flags. Raises SetupFault when it is taken or not ours."""
    host, port = flags.host, flags.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)  # pyright: ignore[reportArgumentType]
    except OSError as error:
        reason = "it is in use" if error.errno == errno.EADDRINUSE else str(error)
        raise SetupFault(f"Cannot listen on {host}, port {port}: {reason}. Choose another with --port or --server-name.") from error


def url_of(listener: socket.socket, flags: Flags) -> str:
    """The address to open on this machine."""
    host, port = listener.getsockname()[:2]
    if host in WILDCARDS:
        host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if flags.tls_certfile else 'http'}://{name}:{port}/"


def _refuse_open_door(listener: socket.socket, access: Access, flags: Flags) -> None:
    """The socket decides, not the flags: a name that looked local may have become a reachable address."""
    bound = str(listener.getsockname()[0])
    if not is_loopback(bound) and not access.protects_everything and not flags.insecure_no_auth:
        raise SetupFault(f"{bound} can be reached from other machines, and no password is set. Give --gradio-auth user:password.")
    with contextlib.suppress(ValueError):
        if not ipaddress.ip_address(bound).is_unspecified:
            access.allow_host(bound)


def _announce(url: str, access: Access, on_ready: Callable[[str], None] | None) -> None:
    if access.generated is not None:
        say(f"Other machines can reach this server. User: {GENERATED_USER}  Password: {access.generated}")
        say("It is made anew at each start; --gradio-auth user:password sets your own.")
    elif access.exposed and not access.protects_everything:
        say("Other machines can reach this server, and nobody is asked for a password (--insecure-no-auth).")
    if on_ready is None:
        say(f"Running at {url}")
    else:
        on_ready(url)


class _Server(uvicorn.Server):
    """Uvicorn's server that tells when it has started, and, before it waits for open requests, that it is about to stop."""

    def __init__(self, config: uvicorn.Config, *, on_start: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._on_stop = on_stop

    def end(self, what: str) -> None:
        """What `Power.end` is called with."""
        self.force_exit = what == KILL
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await asyncio.to_thread(self._on_start)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)


@contextlib.contextmanager
def _quiet_signals() -> Generator[None]:
    """After a graceful stop uvicorn raises the signal once more, which would end the process before the app is stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in HANDLED_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
