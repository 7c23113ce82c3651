"""`Tunnel`: one tunnel at a time, started, watched, started again with growing pauses, closed after its time or with the server.

Knows clients and their runs; knows nothing about HTTP, or about who may open a tunnel. Start reading at `Tunnel.start`, then `_Watch`.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from modules.faults import Fault, SetupFault
from modules.folders import PROGRAM
from modules.remote.asked import Asked
from modules.remote.clients import CLIENTS, Client
from modules.remote.programs import command_of, environment_of
from modules.remote.running import Running
from modules.remote.state import EXPIRED, FAILED, OFF, OPEN, STARTING, WAITING, State

KEPT_LINES = 12
MINUTE_S = 60.0


class Word(Enum):
    """What a watch hears beside lines of output."""

    STOP = "it is to end"
    TIME = "a time has passed"


@dataclass(frozen=True)
class Pace:
    """Seconds. first, most: the pauses before starts, which double; calm: open for so long, the next pause is the first again;
    patience: until the address has to be known.
    """

    first: float = 2.0
    most: float = 120.0
    calm: float = 60.0
    patience: float = 90.0


class Tunnel:
    """opened(address) and closed(address) are called from the watching thread; say(line) prints. clock: seconds since 1970."""

    def __init__(
        self,
        *,
        opened: Callable[[str], None] = lambda address: None,
        closed: Callable[[str], None] = lambda address: None,
        say: Callable[[str], None] = lambda line: None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.opened, self.closed, self.say = opened, closed, say
        self.pace, self.clock = pace or Pace(), clock
        self._lock = threading.Lock()
        self._watch: _Watch | None = None

    @property
    def state(self) -> State:
        watch = self._watch
        return watch.state if watch else State()

    def start(self, name: str, asked: Asked) -> State:
        """Open a tunnel; one that is open already is closed first. Returns at once, while it starts.

        Raises UnknownName, and SetupFault when the program is missing or cannot do what is asked: then the state is FAILED.
        """
        with self._lock:
            self._end()
            known = CLIENTS.name_of(name) or name
            try:
                command = command_of(known, asked)
            except SetupFault as fault:
                self._watch = _Watch(self, known, asked, [])
                self._watch.state = State(state=FAILED, name=known, message=fault.message)
                raise
            self._watch = _Watch(self, known, asked, command)
            self._watch.begin()
            return self._watch.state

    def stop(self) -> None:
        """Close the tunnel and end its program; nothing happens when there is none."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.end()


class _Watch:
    """The life of one tunnel that was asked for, over as many runs as it takes."""

    def __init__(self, tunnel: Tunnel, name: str, asked: Asked, command: list[str]) -> None:
        self._tunnel, self._name, self._asked, self._command = tunnel, name, asked, command
        self._heard: queue.Queue[str | Word | None] = queue.Queue()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        now = tunnel.clock()
        self._until_s = now + asked.minutes * MINUTE_S if asked.minutes else None
        self._thread = threading.Thread(target=self._run, daemon=True, name="tunnel")
        self._stopped = False
        self.state = State(state=STARTING, name=name, since_s=now, expires_s=self._until_s)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Returns when the program is gone."""
        self._heard.put(Word.STOP)
        if self._thread.ident is not None:
            self._thread.join()

    # ---- the watching thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        client = CLIENTS.get(self._name)
        rest = pauses(self._tunnel.pace)
        while True:
            began = time.monotonic()
            verdict = self._once(client)
            if verdict != WAITING:
                break
            if time.monotonic() - began > self._tunnel.pace.calm:
                rest = pauses(self._tunnel.pace)
            pause_s = next(rest)
            self._change(state=WAITING)
            self._tunnel.say(f"The tunnel has ended: {self.state.message} It is started again in {pause_s:.0f} s.")
            if self._wait(pause_s):
                verdict = OFF if self._stopped else EXPIRED
                break
            self._change(state=STARTING, restarts=self.state.restarts + 1)
        self._change(state=verdict, address="", message=self.state.message if verdict == FAILED else "")
        if verdict == EXPIRED:
            self._tunnel.say("The tunnel's time is over; it is closed.")
        elif verdict == FAILED:
            self._tunnel.say(f"There is no tunnel: {self.state.message}")

    def _once(self, client: Client) -> str:
        """One run, from start to end; the state that follows: WAITING, FAILED, OFF or EXPIRED."""
        try:
            environment = environment_of(client, self._asked, os.environ)
            running = Running(self._command, environment, PROGRAM, self._heard.put)
        except OSError as error:
            self._change(message=f"it cannot be started ({error.strerror or error}).")
            return WAITING
        try:
            return self._follow(client)
        finally:
            running.end()
            self._forget()
            self._drop_lines()

    def _follow(self, client: Client) -> str:
        open_by = time.monotonic() + self._tunnel.pace.patience
        while True:
            line = self._next(None if self.state.address else open_by)
            if isinstance(line, Word):
                return OFF if line is Word.STOP else self._over()
            if line is None:
                self._change(message=self._why(f"{client.words} ended"))
                return WAITING
            verdict = self._read(client, line)
            if verdict:
                return verdict

    def _read(self, client: Client, line: str) -> str:
        """Take in one line of output; FAILED when it says that trying again is no use."""
        if said := self._without_secrets(client.said(line)):
            self._lines.append(said)
            self._change(lines=tuple(self._lines))
        if hopeless := next((sentence for mark, sentence in client.hopeless if mark in line), None):
            self._change(message=hopeless)
            return FAILED
        if not self.state.address and (address := client.address(line, self._asked)):
            return self._announce(client, f"{address}/{self._asked.subpath}".rstrip("/"))
        return ""

    def _announce(self, client: Client, address: str) -> str:
        try:
            self._tunnel.opened(address)
        except Fault as fault:  # whoever runs the server does not want it
            self._change(message=fault.message)
            return FAILED
        self._change(state=OPEN, address=address, message="")
        self._tunnel.say(f"{'Public address' if client.public else 'Address for your own devices'} ({client.words}): {address}")
        return ""

    def _over(self) -> str:
        """Its time has passed: the tunnel's, or that of waiting for an address."""
        if self._until_s is not None and self._tunnel.clock() >= self._until_s:
            return EXPIRED
        self._change(message=self._why(f"no address came within {self._tunnel.pace.patience:.0f} s"))
        return WAITING

    # ---- small things -------------------------------------------------------------------------------------------------

    def _next(self, open_by: float | None) -> str | Word | None:
        """The next line; None: the program has ended."""
        left = [] if open_by is None else [open_by - time.monotonic()]
        if self._until_s is not None:
            left.append(self._until_s - self._tunnel.clock())
        try:
            heard = self._heard.get(timeout=max(0.0, min(left)) if left else None)
        except queue.Empty:
            return Word.TIME
        self._stopped = self._stopped or heard is Word.STOP
        return heard

    def _wait(self, pause_s: float) -> bool:
        """Pass the time between two runs; True when the tunnel is to end instead."""
        end = time.monotonic() + pause_s
        while (left := end - time.monotonic()) > 0 and not self._stopped:
            if self._until_s is not None:
                left = min(left, self._until_s - self._tunnel.clock())
            if left <= 0:
                return True
            try:
                self._stopped = self._heard.get(timeout=left) is Word.STOP
            except queue.Empty:
                continue
        return self._stopped

    def _drop_lines(self) -> None:
        """What an ended run has said after it was no longer followed; an order to stop is kept."""
        while not self._heard.empty():
            self._stopped = (self._heard.get() is Word.STOP) or self._stopped
        if self._stopped:
            self._heard.put(Word.STOP)

    def _forget(self) -> None:
        if address := self.state.address:
            self._change(address="")
            self._tunnel.closed(address)

    def _why(self, what: str) -> str:
        return f"{what}; it said: {self._lines[-1]}" if self._lines else f"{what} without a word."

    def _without_secrets(self, text: str) -> str:
        return text.replace(self._asked.token, "(token)") if self._asked.token else text

    def _change(self, **values: object) -> None:
        self.state = replace(self.state, **values)  # pyright: ignore[reportArgumentType]


def pauses(pace: Pace) -> Iterator[float]:
    """Seconds before one start after the other."""
    pause_s = pace.first
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, pace.most)
