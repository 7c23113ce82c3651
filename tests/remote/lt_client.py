"""A stand-in for localtunnel's client, `lt`, which speaks its protocol: python lt_client.py --port 7860 --host http://127.0.0.1:8000

It asks the server for a name (GET /?new, or /NAME), prints the address, and holds connections to the port that the server names; what
comes over one of them goes to the local port, and back. Standard library only. Start reading at `main`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import threading
import urllib.request
from urllib.parse import urlsplit

CHUNK = 65536


def pump(source: socket.socket, target: socket.socket) -> None:
    """Bytes from one to the other until the first ends."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def serve(server: tuple[str, int], local: tuple[str, int]) -> None:
    """One connection after the other, for ever."""
    while True:
        with socket.create_connection(server) as remote:
            first = remote.recv(CHUNK)
            if not first:
                continue
            with socket.create_connection(local) as near:
                near.sendall(first)
                threading.Thread(target=pump, args=(remote, near), daemon=True).start()
                pump(near, remote)


def main() -> None:
    """As `lt` is called."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--subdomain")
    asked = parser.parse_args()
    with urllib.request.urlopen(f"{asked.host}/{asked.subdomain or '?new'}") as answer:
        about = json.load(answer)
    server = (urlsplit(asked.host).hostname or "", about["port"])
    for _ in range(about["max_conn_count"]):
        threading.Thread(target=serve, args=(server, ("127.0.0.1", asked.port)), daemon=True).start()
    print(f"your url is: {about['url']}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
