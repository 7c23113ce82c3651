"""The command line: every flag with its type, default and help, and the sub-commands. One table, `Flags`.

Flag names are A1111's where the behaviour is here too. Standard library only, because it is read before anything is
installed. Knows nothing about what a flag does. Start reading at `Flags`, then `parse`.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

PORT = 7860
PORT_NOWEBUI = 7861
USAGE = "python launch.py [command] [flags]"
COMMANDS = {
    "ui": "open the web page (this is also what happens without a command)",
    "txt2img": "make pictures from a prompt and print their paths; --help lists its own flags",
    "img2img": "make pictures from picture files, or paint a masked part anew; --help lists its own flags",
    "grid": "make an X/Y/Z grid: a picture for each choice of up to three values; --help lists its own flags",
    "reproduce": "make a picture again from its file alone and say whether it is the same; --help lists its own flags",
    "upscale": "enlarge or finish picture files and folders of them; --help lists its own flags",
    "caption": "say what picture files show, or answer a question about them; --help lists its own flags",
    "train": "train a session of models/train by its config.toml, or go on with it; --help lists its own flags",
    "models": "list, download, convert and merge models; --help lists what it can do",
    "extensions": "list, install, update, switch off and remove extensions; --help lists what it can do",
    "import": "take over an A1111, Forge or SD.Next folder: settings, styles, models, pictures; nothing there is changed",
    "cluster": "workers on other machines: start, join, status, stop; --help lists what it can do",
    "users": "who may use a server that asks: add, remove, roles, passwords, tokens; --help lists what it can do",
    "mcp": "tools for a chat program that starts this one itself, over standard input and output (MCP)",
    "update": "take the latest release, or --to VERSION; --check only looks; models, pictures and settings stay",
    "rollback": "go back to the version before the last update",
    "wheels": "collect the packages in a folder, for a machine without a network (there: --wheels FOLDER)",
    "doctor": "print a report about this machine and installation for a bug report",
    "test": "install what the tests need and run them all; further words go to pytest",
    "check": "ruff, pyright and the tests about the code's order",
}
TAKES_REST = (
    "txt2img",
    "img2img",
    "grid",
    "reproduce",
    "upscale",
    "caption",
    "train",
    "models",
    "extensions",
    "import",
    "cluster",
    "users",
    "update",
    "wheels",
    "test",
    "check",
)  # commands that read further words themselves


def _flag(
    default: Any,
    group: str,
    help: str,
    *,
    value: str | None = None,
    choices: tuple[str, ...] = (),
    whole: tuple[int, int] | None = None,
    secret: bool = False,
    many: bool = False,
) -> Any:
    """A field of `Flags`. value: what the value is called in the help, None for a switch; whole: a number's (lowest, highest);
    secret: not to be shown; many: may be repeated, a tuple.
    """
    about = {"group": group, "help": help, "value": value, "choices": choices, "whole": whole, "secret": secret, "many": many}
    return field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of one start. `command` and `rest` (words for the command itself) are not part of `to_data()`."""

    command: str = "ui"
    rest: tuple[str, ...] = ()
    guests: Mapping[str, Any] = field(default_factory=dict[str, Any])  # flags of extensions (preload.py), by name

    listen: bool = _flag(False, "Network", "answer other computers too (0.0.0.0), with a password")
    port: int = _flag(PORT, "Network", f"port of the page; {PORT_NOWEBUI} with --nowebui", value="PORT", whole=(1, 65535))
    server_name: str | None = _flag(None, "Network", "address to answer on instead of 127.0.0.1", value="HOST")
    subpath: str | None = _flag(None, "Network", "path under which a proxy in front serves the page", value="PATH")
    share: bool = _flag(False, "Network", "open a public link through Gradio's share server, with a password")
    tunnel: str | None = _flag(
        None,
        "Tunnel",
        "open a tunnel, with a password: ngrok, cloudflared, localtunnel, tailscale, tailscale-serve, gradio or command",
        value="NAME",
        choices=("ngrok", "cloudflared", "localtunnel", "tailscale", "tailscale-serve", "gradio", "command", "URL-command"),
    )
    tunnel_token: str | None = _flag(
        None,
        "Tunnel",
        "token of your account there; better hidden in NGROK_AUTHTOKEN or TUNNEL_TOKEN",
        value="TOKEN",
        secret=True,
    )
    tunnel_address: str | None = _flag(None, "Tunnel", "your own name or address there instead of one by chance", value="NAME")
    tunnel_server: str | None = _flag(None, "Tunnel", "address of your own localtunnel server", value="URL")
    tunnel_program: str | None = _flag(None, "Tunnel", "the tunnel's program, when it does not lie on PATH", value="FILE")
    tunnel_command: str | None = _flag(
        None, "Tunnel", "a command line of your own with {port} in it, which prints an https address", value="WORDS", secret=True
    )
    tunnel_expires: int | None = _flag(None, "Tunnel", "minutes after which the tunnel is closed", value="MINUTES", whole=(1, 43200))
    ngrok: str | None = _flag(None, "Tunnel", "A1111's way to say --tunnel ngrok --tunnel-token TOKEN", value="TOKEN", secret=True)
    ngrok_options: str | None = _flag(
        None, "Tunnel", "A1111's: JSON with authtoken, domain or url for --ngrok or --tunnel ngrok", value="JSON", secret=True
    )
    ngrok_region: str | None = _flag(None, "Tunnel", "taken for A1111's sake; ngrok chooses the nearest by itself", value="REGION")
    timeout_keep_alive: int | None = _flag(None, "Network", "seconds an idle connection stays open", value="S", whole=(0, 86400))
    tls_keyfile: str | None = _flag(None, "Network", "private key for https", value="FILE")
    tls_certfile: str | None = _flag(None, "Network", "certificate for https", value="FILE")
    autolaunch: bool = _flag(False, "Network", "open the page in the browser once it is ready")
    cors_allow_origins: str | None = _flag(None, "Network", "other sites whose pages may call the API, with commas", value="URLS")
    cors_allow_origins_regex: str | None = _flag(None, "Network", "the same as a regular expression", value="REGEX")

    gradio_auth: str | None = _flag(None, "Access", "who may use the page, as user:password, with commas", value="USERS", secret=True)
    gradio_auth_path: str | None = _flag(None, "Access", "file with user:password entries", value="FILE")
    api_auth: str | None = _flag(None, "Access", "who may use the API, as user:password, with commas", value="USERS", secret=True)
    users_file: str | None = _flag(None, "Access", "users with roles; default: users.json in the data folder if there is one", value="FILE")
    session_hours: int = _flag(168, "Access", "hours until a browser has to sign in again", value="N", whole=(1, 8760))
    rate_limit: str | None = _flag(None, "Access", "requests of one user or address, as 600/minute;20000/day", value="RATE")
    rate_limit_generate: str | None = _flag(None, "Access", "jobs that one user may submit, as 10/minute;200/day", value="RATE")
    forwarded_allow_ips: str = _flag(
        "127.0.0.1", "Access", "proxies whose word on the caller's address counts, with commas; * for all", value="IPS"
    )
    insecure_no_auth: bool = _flag(False, "Access", "answer other computers without asking who they are")

    api: bool = _flag(False, "API", "taken for A1111's sake; /sdapi/v1 is always served beside the page")
    nowebui: bool = _flag(False, "API", "serve /sdapi/v1 without the page")
    api_log: bool = _flag(False, "API", "print a line for each API call")
    mcp: bool = _flag(False, "API", "let chat programs use the tools at /mcp (Model Context Protocol)")
    api_server_stop: bool = _flag(False, "API", "let programs stop and restart the server through /sdapi/v1/server-*")

    data_dir: str | None = _flag(None, "Folders", "folder of settings, outputs and models; default: the program's own", value="DIR")
    models_dir: str | None = _flag(None, "Folders", "folder of all models; default: models in the data folder", value="DIR")
    extra_models_dir: tuple[str, ...] = _flag(
        (), "Folders", "one more folder of all models, such as A1111's, where they lie; may be repeated", value="DIR", many=True
    )
    ckpt: str | None = _flag(None, "Folders", "checkpoint to start with: name, file or hash", value="NAME")
    ckpt_dir: str | None = _flag(None, "Folders", "one more folder of checkpoints", value="DIR")
    vae_dir: str | None = _flag(None, "Folders", "one more folder of VAEs", value="DIR")
    lora_dir: str | None = _flag(None, "Folders", "one more folder of LoRAs", value="DIR")
    embeddings_dir: str | None = _flag(None, "Folders", "one more folder of embeddings", value="DIR")
    controlnet_dir: str | None = _flag(None, "Folders", "one more folder of ControlNet models", value="DIR")
    controlnet_annotator_models_path: str | None = _flag(
        None, "Folders", "one more folder of weights for ControlNet's preprocessors", value="DIR"
    )
    controlnet_preprocessor_cache_size: int = _flag(16, "Device", "how many control maps are remembered", value="N", whole=(0, 1000))

    device_id: int | None = _flag(None, "Device", "number of the device to use; default: all of the best kind", value="N", whole=(0, 255))
    use_cpu: tuple[str, ...] = _flag(
        (),
        "Device",
        "what works on the processor despite a device: all, vae, text_encoder, or interrogate for captions; may be repeated",
        value="WHAT",
        choices=("all", "vae", "text_encoder", "interrogate"),
        many=True,
    )
    medvram: bool = _flag(False, "Device", "keep only the part of the model at work on the device; slower")
    lowvram: bool = _flag(False, "Device", "keep only the layer at work on the device; much slower")
    memory_limit: int = _flag(0, "Device", "GiB of memory to plan with; default: all that is free", value="GB", whole=(0, 4096))
    no_half: bool = _flag(False, "Device", "use float32 throughout")
    no_half_vae: bool = _flag(False, "Device", "use float32 for the VAE; mends black pictures")
    precision: str = _flag(
        "autocast",
        "Device",
        "full: float32; half: half precision also where float32 is the rule; fastest: on the CPU too where it is measured to be faster; "
        "autocast: what the device does well",
        value="KIND",
        choices=("full", "half", "fastest", "autocast"),
    )

    cluster: str | None = _flag(
        None, "Cluster", "let other machines work too: auto, HOST:PORT or ray://HOST:PORT of a cluster (docs/cluster.md)", value="ADDRESS"
    )
    cluster_only: bool = _flag(False, "Cluster", "leave pictures that can be made elsewhere to the other machines")
    cluster_home: str = _flag("~/.cache/darkroom-worker", "Cluster", "folder for what is sent to the other machines, there", value="DIR")
    cluster_disk_gb: int = _flag(100, "Cluster", "model files that another machine keeps at most, in GB", value="GB", whole=(1, 100_000))
    cluster_shared: bool = _flag(False, "Cluster", "model files lie under the same paths there too; send none that is the same")

    theme: str | None = _flag(None, "Page", "light or dark; default: as the browser asks", value="NAME", choices=("light", "dark"))

    safe_mode: bool = _flag(False, "Scripts", "load no scripts and no extensions, not even the program's own")
    disable_all_extensions: bool = _flag(False, "Scripts", "load no extensions; scripts/ stays")
    disable_extra_extensions: bool = _flag(False, "Scripts", "load only the extensions that came with the program")
    enable_insecure_extension_access: bool = _flag(
        False, "Scripts", "let administrators on other machines install extensions, which is: run any program here"
    )

    no_venv: bool = _flag(False, "Setup", "use this Python as it is; make no venv/ and install nothing into it")
    wheels: str | None = _flag(None, "Setup", "install from this folder of wheels and not from the network", value="DIR")
    skip_install: bool = _flag(False, "Setup", "install nothing, even when something is missing")
    skip_python_version_check: bool = _flag(False, "Setup", "start with a Python that was not tested")
    exit: bool = _flag(False, "Setup", "end once everything is installed")

    @property
    def host(self) -> str:
        """The address to answer on."""
        return self.server_name or ("0.0.0.0" if self.listen else "127.0.0.1")

    @property
    def tunnel_name(self) -> str | None:
        """The tunnel to open at the start; None for none."""
        if self.tunnel:
            return "command" if self.tunnel == "URL-command" else self.tunnel
        if self.ngrok:
            return "ngrok"
        return "command" if self.tunnel_command else "gradio" if self.share else None

    def to_data(self) -> dict[str, Any]:
        """Every flag with its value, passwords too: JSON-ready, A1111's names."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in table()}
        return {**self.guests, **values, "use_cpu": list(self.use_cpu), "extra_models_dir": list(self.extra_models_dir)}

    def given(self) -> list[str]:
        """The flags that differ from their defaults as they would be typed, passwords masked. For reports."""
        words: list[str] = []
        for item in table():
            value = getattr(self, item.name)
            if value == item.default:
                continue
            text = "(set)" if item.metadata["secret"] else " ".join(value) if item.metadata["many"] else str(value)
            words.append(spelling(item.name) + ("" if value is True else f" {text}"))
        return words


def table() -> list[dataclasses.Field[Any]]:
    """The flags, in the order of the help; name, default and metadata (group, help, value, choices, whole, secret, many)."""
    return [f for f in dataclasses.fields(Flags) if f.metadata]


def spelling(name: str) -> str:
    """data_dir -> --data-dir."""
    return "--" + name.replace("_", "-")


def parse(argv: Sequence[str], guests: Mapping[str, Any] | None = None, more_help: Sequence[str] = ()) -> Flags:
    """The flags of a command line (without the program's name). Prints help and exits 0, or says what is wrong and exits 2.

    guests: flags of extensions, read already; more_help: the lines of help about them.
    """
    reader = _Reader(list(argv), more_help)
    while reader.left:
        reader.take()
    values = reader.values
    values.setdefault("port", PORT_NOWEBUI if values.get("nowebui") else PORT)
    flags = Flags(command=reader.command or "ui", rest=tuple(reader.rest), guests=dict(guests or {}), **values)
    problem = contradiction(flags)
    if problem:
        stop(problem)
    return flags


def contradiction(flags: Flags) -> str | None:
    """What makes these flags impossible together, or None."""
    if flags.lowvram and flags.medvram:
        return "--lowvram and --medvram exclude each other; leave one out"
    if flags.precision == "half" and flags.no_half:
        return "--precision half and --no-half exclude each other; leave one out"
    if flags.share and flags.insecure_no_auth:
        return "--share opens the program to the internet, never without a password; leave --insecure-no-auth out"
    if flags.tunnel_name and flags.insecure_no_auth:
        return "a tunnel opens the program to others, never without a password; leave --insecure-no-auth out"
    ways = {name for name, given in (("gradio", flags.share), ("ngrok", flags.ngrok), ("command", flags.tunnel_command)) if given}
    if len(ways | ({flags.tunnel_name} if flags.tunnel_name else set())) > 1:
        return "there is one tunnel at a time; give one of --tunnel, --share, --ngrok and --tunnel-command"
    if bool(flags.tls_keyfile) != bool(flags.tls_certfile):
        return "--tls-keyfile and --tls-certfile belong together"
    return None


def stop(message: str) -> NoReturn:
    """Say what is wrong with the command line and exit 2."""
    sys.stderr.write(f"launch.py: {message}\n")
    raise SystemExit(2)


class _Reader:
    """Reads a command line word by word."""

    def __init__(self, words: list[str], more_help: Sequence[str] = ()) -> None:
        self.left = words
        self._more_help = more_help
        self.command: str | None = None
        self.rest: list[str] = []
        self.values: dict[str, Any] = {}
        self._known = {spelling(f.name): f for f in table()}

    def take(self) -> None:
        word = self.left.pop(0)
        name, equals, value = word.partition("=")
        name = name.replace("_", "-") if name.startswith("--") else name
        if name in self._known:
            self._flag(self._known[name], value if equals else None)
        elif word in ("-h", "--help") and self.command not in TAKES_REST:
            sys.stdout.write(help_text(self._more_help))
            raise SystemExit(0)
        elif self.command in TAKES_REST:
            self.rest.append(word)
        elif word.startswith("-"):
            stop(f"there is no flag {name}{_near(name, self._known)}")
        elif self.command is None and word in COMMANDS:
            self.command = word
        else:
            stop(f"there is no command {word!r}{_near(word, COMMANDS)}")

    def _flag(self, item: dataclasses.Field[Any], value: str | None) -> None:
        name, about = item.name, item.metadata
        if about["value"] is None:
            if value is not None:
                stop(f"{spelling(name)} takes no value")
            self.values[name] = True
            return
        if value is None:
            if not self.left or self.left[0].startswith("--"):
                stop(f"{spelling(name)} needs a value: {about['help']}")
            value = self.left.pop(0)
        if about["choices"] and value not in about["choices"]:
            stop(f"{spelling(name)} must be {' or '.join(about['choices'])}, not {value!r}")
        if about["whole"]:
            self.values[name] = _whole(name, value, *about["whole"])
        elif about["many"]:
            self.values[name] = (*self.values.get(name, ()), value)
        else:
            self.values[name] = value


def _whole(name: str, value: str, low: int, high: int) -> int:
    if not value.isdecimal() or not low <= int(value) <= high:
        stop(f"{spelling(name)} must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


def _near(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else "; --help lists them all"


def help_text(more: Sequence[str] = ()) -> str:
    """What --help prints. more: lines about the flags of extensions."""
    lines = [f"usage: {USAGE}", "", "Commands:"]
    lines += [f"  {name:<10} {what}" for name, what in COMMANDS.items()]
    groups = dict.fromkeys(f.metadata["group"] for f in table())
    for group in groups:
        lines += ["", f"{group}:"]
        for item in (f for f in table() if f.metadata["group"] == group):
            left = " ".join(filter(None, [spelling(item.name), item.metadata["value"]]))
            lines.append(f"  {left:<32} {item.metadata['help']}")
    lines += ["", "Extensions:", *more] if more else []
    return "\n".join([*lines, ""])
