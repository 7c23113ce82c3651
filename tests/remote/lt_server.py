"""A small server of localtunnel's protocol on loopback.

GET /?new or /NAME without a name in the Host header gives {id, port, max_conn_count, url}; the client then connects to that port, several
times. A visitor's request with the name in the Host header goes to one of these connections, as bytes. Start reading at `TunnelServer`.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from typing import Self

from tests.remote.lt_client import CHUNK, pump

CONNECTIONS = 4
PATIENCE_S = 60.0


class TunnelServer:
    """With a name of its own under localhost. Use it with `with`; url is for the client."""

    def __init__(self) -> None:
        self._front = socket.create_server(("127.0.0.1", 0))
        self._back = socket.create_server(("127.0.0.1", 0))
        self._waiting: queue.Queue[socket.socket] = queue.Queue()
        self._open: list[socket.socket] = [self._front, self._back]
        self.port = int(self._front.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, args=(self._front, self._visitor), daemon=True).start()
        threading.Thread(target=self._accept, args=(self._back, self._waiting.put), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        for one in self._open:
            one.close()

    def _accept(self, listener: socket.socket, take: object) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = listener.accept()
                self._open.append(one)
                threading.Thread(target=take, args=(one,), daemon=True).start()  # pyright: ignore[reportArgumentType]

    def _visitor(self, visitor: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (chunk := visitor.recv(CHUNK)):
                return
            head += chunk
        host = next((line for line in head.decode("latin-1").split("\r\n") if line.lower().startswith("host:")), "")
        name = host.partition(":")[2].strip()
        if ".localhost" in name:
            self._through(visitor, head)
        else:
            self._register(visitor, head.split()[1].decode())

    def _register(self, client: socket.socket, path: str) -> None:
        name = "brave-cat-12" if path == "/?new" else path.strip("/")
        about = {
            "id": name,
            "port": self._back.getsockname()[1],
            "max_conn_count": CONNECTIONS,
            "url": f"http://{name}.localhost:{self.port}",
        }
        body = json.dumps(about).encode()
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        client.close()

    def _through(self, visitor: socket.socket, head: bytes) -> None:
        tunnel = self._waiting.get(timeout=PATIENCE_S)
        tunnel.sendall(head)
        threading.Thread(target=pump, args=(visitor, tunnel), daemon=True).start()
        pump(tunnel, visitor)
