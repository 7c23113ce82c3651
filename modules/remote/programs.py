"""From what is asked to the words of a command: finding the program, refusing what it cannot do. Installs nothing.

Knows PATH; knows nothing about running. Start reading at `command_of`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping

from modules.faults import SetupFault
from modules.remote.asked import LOOPBACK, OWN_COMMAND, Asked
from modules.remote.clients import ADDRESS, CLIENTS, HOST, SERVER, TLS, TOKEN, Client

SHARE = "gradio"


def command_of(name: str, asked: Asked) -> list[str]:
    """The words to run. Raises UnknownName; SetupFault when the program is missing (with how to get it) or cannot do what is asked."""
    client = CLIENTS.get(name)
    _refuse(name, client, asked)
    if name == OWN_COMMAND:
        return _own(client, asked)
    return [*_program(name, client, asked), *client.arguments(asked)]


def is_there(name: str, asked: Asked) -> bool:
    """The program of this tunnel is on this machine, or what would run it."""
    try:
        command_of(name, asked)
    except SetupFault:
        return False
    return True


def environment_of(client: Client, asked: Asked, outer: Mapping[str, str]) -> dict[str, str]:
    """The environment for it: the token goes this way, so that no list of processes shows it."""
    kept = {name: value for name, value in outer.items() if name not in client.drops}
    return kept | ({client.token_name: asked.token} if asked.token and client.token_name else {})


def _refuse(name: str, client: Client, asked: Asked) -> None:
    """Raises SetupFault for a wish that this program does not understand."""
    wishes = {
        ADDRESS: bool(asked.address),
        SERVER: bool(asked.server),
        TOKEN: bool(asked.token),
        TLS: asked.tls,
        HOST: asked.host != LOOPBACK,
    }
    for flag, wished in wishes.items():
        if wished and flag not in client.takes:
            raise SetupFault(f"--tunnel {name} does not go with {flag}; leave one of the two out.")
    if why := client.lacks(asked):
        raise SetupFault(why)


def _program(name: str, client: Client, asked: Asked) -> list[str]:
    if asked.program:
        if found := shutil.which(asked.program):
            return [found]
        raise SetupFault(f"There is no program {asked.program} (--tunnel-program). {client.install}")
    if name == SHARE:
        return [sys.executable]
    if found := next(filter(None, map(shutil.which, client.programs)), None):
        return [found]
    if client.through and (found := shutil.which(client.through[0])):
        return [found, *client.through[1:]]
    raise SetupFault(f"There is no tunnel: the program {client.programs[0]} is not on this machine. {client.install}")


def _own(client: Client, asked: Asked) -> list[str]:
    """The person's command line, cut into words as a shell would; no shell runs it."""
    try:
        words = shlex.split(asked.command, posix=os.name != "nt")
    except ValueError as error:
        raise SetupFault(f"--tunnel-command cannot be read: {error}.") from error
    words = [word.replace("{port}", str(asked.port)) for word in words]
    found = shutil.which(words[0])
    if found is None:
        raise SetupFault(f"There is no tunnel: the program {words[0]} is not on this machine. {client.install}")
    return [found, *words[1:]]
