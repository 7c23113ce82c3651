"""A public link to this server through Gradio's share server. The server behind it must ask for a password.

The tunnel program that Gradio downloads is checked here before each use: Gradio itself checks it only right after the
download. Start reading at `open_link`.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path

from modules.faults import SetupFault


def open_link(port: int) -> str:
    """The public https address of this machine's port. Needs the internet. Raises SetupFault with the reason.

    Source: gradio.networking.setup_tunnel, as `launch(share=True)` calls it.
    """
    from gradio import networking, tunneling

    try:
        tunneling.Tunnel.download_binary()
        verify(Path(tunneling.BINARY_PATH), tunneling.CHECKSUMS.get(tunneling.BINARY_URL))
        return networking.setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except SetupFault:
        raise
    except Exception as error:  # whatever Gradio and its parts raise, it means: no link
        reason = str(error).strip().splitlines()
        why = reason[0] if reason else type(error).__name__
        raise SetupFault(f"There is no public link: {why}. The page goes on at its local address.") from error


def verify(binary: Path, wanted_sha256: str | None) -> None:
    """Raises SetupFault when the tunnel program is not the one that Gradio names."""
    if wanted_sha256 is None:
        raise SetupFault("There is no public link: Gradio names no checksum for this kind of machine. Use your own tunnel or proxy.")
    found = hashlib.sha256(binary.read_bytes()).hexdigest()
    if found != wanted_sha256:
        raise SetupFault(
            f"There is no public link: {binary} is not what Gradio offers (its checksum differs). Remove that file and try again."
        )


def main(words: list[str]) -> int:
    """A tunnel's program like others: prints the address of the port and holds the link until it is ended."""
    try:
        link = open_link(int(words[0]))
    except SetupFault as fault:
        sys.stdout.write(f"{fault.message}\n")
        return 1
    sys.stdout.write(f"{link}\n")
    sys.stdout.flush()
    hold()
    return 1


def hold() -> None:
    """Wait as long as Gradio's tunnel program runs; this process is ended from outside, by a signal to its group."""
    from gradio import tunneling

    latest = tunneling.CURRENT_TUNNELS[-1].proc if tunneling.CURRENT_TUNNELS else None
    if latest is not None:
        latest.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
