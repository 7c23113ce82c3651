"""Who may ask for what: one table of paths, methods and the least role, for every route there is, mounted ones included.

What stands in no row takes an administrator, so a route that somebody forgot is closed and not open. Start reading at `RULES`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modules.users import ADMIN, GUEST, USER

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
PUBLIC = frozenset({SIGN_IN, SIGN_OUT})  # without any name
GET, POST = frozenset({"GET", "HEAD", "OPTIONS"}), frozenset({"POST"})
ANY = frozenset[str]()


@dataclass(frozen=True)
class Rule:
    """paths: each stands for itself and everything below it, one that ends with "=" for everything that begins so, and one in angle
    brackets for itself alone; methods: ANY for all.
    """

    least: str
    methods: frozenset[str]
    paths: tuple[str, ...]


# The first row that fits counts.
RULES: tuple[Rule, ...] = (
    # The page and what Gradio needs to show it. Its events ask for roles themselves (`modules.users.require`).
    Rule(GUEST, GET, (
        "</>", "/page", "</internal/localization.js>", "/config", "/theme.css", "/favicon.ico", "/static", "/svelte", "/assets",
        "/manifest.json", "/pwa_icon", "/robots.txt",
        "/gradio_api/heartbeat", "/gradio_api/info", "/gradio_api/theme.css", "/gradio_api/startup-events", "/gradio_api/upload_progress",
        "/gradio_api/queue", "/gradio_api/app_id", "/gradio_api/file=", "/gradio_api/file",
    )),
    Rule(GUEST, POST, ("/gradio_api/run", "/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/upload")),
    # Settings, models, and the server itself.
    Rule(ADMIN, POST, (
        "/sdapi/v1/options", "/sdapi/v1/server-kill", "/sdapi/v1/server-restart", "/sdapi/v1/server-stop",
        "/sdapi/v1/unload-checkpoint", "/sdapi/v1/reload-checkpoint", "/sdapi/v1/create", "/sdapi/v1/train",
    )),
    Rule(ADMIN, ANY, ("/internal/remote",)),  # who is connected, and the tunnel
    Rule(ADMIN, ANY, ("/internal/system",)),  # what tells about the machine
    Rule(ADMIN, GET, ("/internal/sysinfo", "/internal/sysinfo-download", "/internal/profile-startup")),
    Rule(GUEST, GET, ("/sd_extra_networks",)),
    Rule(GUEST, GET, ("/file=extensions", "/file=javascript", "</file=user.css>")),  # what the page itself loads
    Rule(USER, GET, ("/file=",)),
    Rule(USER, POST, ("/internal/models/refresh", "/api/v2/models/refresh")),
    Rule(GUEST, GET, ("/internal/models", "/api/v2/models")),
    Rule(ADMIN, ANY, ("/internal/models", "/api/v2/models")),
    Rule(ADMIN, POST, ("/api/v2/captioners",)),
    # Generating, and what goes with it. Of jobs guests meet their own only: see OWNED and `Viewer.sees`.
    Rule(GUEST, POST, (
        "/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/sdapi/v1/interrupt", "/sdapi/v1/skip", "/sdapi/v1/png-info",
        "/internal/progress", "/internal/inputs", "/internal/control", "/internal/token-count", "</internal/history/text>",
        "/internal/form",
        "/controlnet/detect", "/controlnet/render_openpose_json",
    )),
    Rule(GUEST, GET, (
        "/sdapi/v1/progress", "/sdapi/v1/samplers", "/sdapi/v1/schedulers", "/sdapi/v1/upscalers", "/sdapi/v1/latent-upscale-modes",
        "/sdapi/v1/sd-models", "/sdapi/v1/sd-vae", "/sdapi/v1/sd-modules", "/sdapi/v1/hypernetworks", "/sdapi/v1/face-restorers",
        "/sdapi/v1/realesrgan-models", "/sdapi/v1/prompt-styles", "/sdapi/v1/embeddings", "/sdapi/v1/loras", "/sdapi/v1/scripts",
        "/sdapi/v1/script-info", "/sdapi/v1/extensions", "/internal/me", "/internal/ping", "/internal/inputs", "/internal/zip",
        "/internal/pending-tasks", "/internal/queue", "/internal/control", "/controlnet", "/internal/form",
    )),
    Rule(GUEST, ANY, ("/internal/jobs", "/internal/pictures", "/api/v2/jobs", "/api/v2/inputs")),
    Rule(GUEST, GET, ("/api/v2/choices",)),
    # All else that is known: for users. What changes something in an unknown way stays with the administrators.
    Rule(USER, GET, ("/sdapi", "/internal", "/api/v2", "/docs", "/redoc", "/openapi.json")),
    Rule(USER, POST, (
        "/sdapi/v1/extra-single-image", "/sdapi/v1/extra-batch-images", "/sdapi/v1/interrogate", "/sdapi/v1/refresh-checkpoints",
        "/sdapi/v1/refresh-vae", "/sdapi/v1/refresh-loras", "/sdapi/v1/refresh-embeddings", "/internal/keep", "/internal/history",
        "/internal/captions", "/internal/caption-folders",
        "/internal/queue",
    )),
    Rule(USER, ANY, ("/api/v2/pictures", "/api/v2/bin", "/api/v2/queue", "/api/v2/grids", "/api/v2/train", "/mcp")),
)  # fmt: skip

# Routes that name a job in the path, by its id or key: a guest meets 404 there unless the job is theirs.
OWNED = re.compile(r"/(?:internal/jobs|internal/pictures|internal/queue|api/v2/jobs)/(?P<job>[^/]+)(?:/.*)?")
# Gradio's routes for files: a guest gets the files of their own jobs.
FILES = re.compile(r"/gradio_api/file[=/](?P<path>.+)")


def least_role(method: str, path: str) -> str:
    """The least role that may ask for this. path: as routes see it, decoded."""
    for rule in RULES:
        if (not rule.methods or method in rule.methods) and any(_fits(path, one) for one in rule.paths):
            return rule.least
    return ADMIN


def _fits(path: str, one: str) -> bool:
    if one.startswith("<"):
        return path == one[1:-1]
    return path == one or path.startswith(one if one.endswith("=") else f"{one}/")
