"""Executes the files of guests with an `import` of their own: A1111's names, their neighbours, stand-ins for what is not loaded.

Each guest's module has its own `__import__` among its builtins, so the offer holds for imports inside functions too, in any thread, and
nobody else sees it. In sys.modules it stands under a name that no import can ask for ("file.py", "extension/package.part").
Start reading at `Loader.script`.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import itertools
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from modules.compat import stand_in
from modules.compat.names_around import REFUSED
from modules.plugins import Source

ALONE = ("launch", "lora", "networks")  # A1111's modules that stand outside of `modules`
_NUMBERS = itertools.count(1)  # of the loaders of this process
OWN = (
    "modules.folders",
    "modules.hooks",
    "modules.knobs",
    "modules.request",
    "modules.faults",
    "modules.pixels",
    "modules.plugins.values",
    "modules.grids",
)
Offer = Callable[[str], ModuleType | None]


class Loader:
    """The guests' modules of one process. offer(name): A1111's module of that name or None; instead: top names that are stood in for.

    gradio: what `import gradio` gives. missing: names that were asked for and are not offered.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        offer: Offer,
        gradio: ModuleType,
        *,
        instead: frozenset[str],
        views: Mapping[str, Any] | None = None,
    ) -> None:
        self._offer = offer
        self._gradio = gradio
        self._instead = instead
        self._basedirs = list(dict.fromkeys(source.basedir for source in sources if source.extension))
        self._scripts = list(dict.fromkeys(source.path.parent for source in sources))
        self._files = {source.path for source in sources}
        self._number = next(_NUMBERS)
        self._named: dict[str, ModuleType] = {}
        weakref.finalize(self, _forget, self._named)
        self._loaded: dict[str, ModuleType] = {}
        self._absent: dict[str, ModuleType] = {}
        self.stood_in: dict[str, set[str]] = {}
        self._views = views or {}

    def script(self, source: Source) -> ModuleType:
        """The module of a script file, executed once. Raises whatever it raises."""
        return self._execute(source.path, source.module, source.basedir, package="")

    def _execute(self, path: Path, name: str, basedir: Path, *, package: str, inner: Path | None = None) -> ModuleType:
        key = str(path)
        if key in self._loaded:
            return self._loaded[key]
        # dataclasses and pydantic look into sys.modules for the module of a class; its name is one that no import can ask for
        name = path.name if path in self._files else f"{basedir.name}#{self._number}/{name}"
        loader = importlib.machinery.SourceFileLoader(name, key)
        spec = importlib.util.spec_from_file_location(name, path, loader=loader)
        if spec is None:
            raise ImportError(f"{path} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        self._named[name] = module
        sys.modules[name] = module
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import_of(basedir, key)}
        module.__dict__["__package__"] = package
        if inner is not None:
            module.__path__ = [str(inner)]
        self._loaded[key] = module
        try:
            loader.exec_module(module)
        except BaseException:
            del self._loaded[key], self._named[name]
            del sys.modules[name]
            raise
        return module

    def _import_of(self, basedir: Path, asking: str) -> Callable[..., Any]:
        def bring(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            full = name if not level else _absolute(name, (globals or {}).get("__package__") or "", level)
            found = self._find(full, basedir, asking)
            if found is None:
                return builtins.__import__(name, globals, locals, fromlist, level)
            for one in fromlist or ():
                if one != "*" and not hasattr(found, one):
                    self._inner(f"{full}.{one}", basedir, asking)
            if fromlist or level:
                return found
            return self._find(full.partition(".")[0], basedir, asking)

        return bring

    def _inner(self, name: str, basedir: Path, asking: str) -> None:
        """A module asked for by `from package import module`. When it is none, Python says which name is missing."""
        try:
            self._find(name, basedir, asking)
        except ModuleNotFoundError as error:
            if error.name != name or name.startswith("modules."):
                raise

    def _find(self, name: str, basedir: Path, asking: str) -> ModuleType | None:
        """The guest's idea of a module, None for everybody's."""
        top = name.partition(".")[0]
        if top == "modules" or (name in ALONE and not _lies_in(top, basedir)):
            return self._modules(name)
        if top == "gradio":
            return _inside(self._gradio, name)
        if name == "importlib":
            return self._importlib(basedir, asking)
        if (top in self._instead or top in REFUSED) and importlib.util.find_spec(top) is None and not _lies_in(top, basedir):
            why = f": {REFUSED[top]}" if top in REFUSED else ""
            raise ModuleNotFoundError(f"No module named {name!r}{why}", name=name)
        if top in self._instead:
            self.stood_in.setdefault(asking, set()).add(top)
            return self._stand_in(name)
        if top == "scripts":
            return self._neighbour(name, [basedir / "scripts", *self._scripts], basedir, strip=1)
        if importlib.util.find_spec(top) is not None and not _lies_in(top, basedir):
            return None
        return self._neighbour(name, [basedir, *self._basedirs], basedir, strip=0)

    def _modules(self, name: str) -> ModuleType | None:
        found = self._offer(name)
        if found is not None:
            return found
        if any(f"{name}.".startswith(f"{own}.") for own in OWN):
            importlib.import_module(name)
            return None
        raise ModuleNotFoundError(f"{name} is not offered to scripts here", name=name)

    def _importlib(self, basedir: Path, asking: str) -> ModuleType:
        """Python's importlib whose `import_module` finds what `import` finds here; `reload` executes a guest's module anew."""

        def import_module(name: str, package: str | None = None) -> ModuleType:
            full = importlib.util.resolve_name(name, package) if name.startswith(".") else name
            return self._find(full, basedir, asking) or importlib.import_module(full)

        def reload(module: ModuleType) -> ModuleType:
            loader = module.__loader__
            if sys.modules.get(module.__name__) is not module or not isinstance(loader, importlib.machinery.SourceFileLoader):
                return importlib.reload(module)
            loader.exec_module(module)
            return module

        found = ModuleType("importlib")
        found.__dict__.update({**vars(importlib), "import_module": import_module, "reload": reload})
        return found

    def _stand_in(self, name: str) -> ModuleType:
        if name not in self._absent:
            self._absent[name] = stand_in.module(name)
            parent, _, last = name.rpartition(".")
            if parent:
                setattr(self._stand_in(parent), last, self._absent[name])
        return self._absent[name]

    def _neighbour(self, name: str, places: Sequence[Path], basedir: Path, *, strip: int) -> ModuleType | None:
        """A module beside the guest: scripts.foo, lib_x, lib_x.inner. A folder without a file is a namespace."""
        parts = name.split(".")[strip:]
        parent: ModuleType | None = None
        module: ModuleType | None = None
        if not parts:
            return self._namespace(name, places)
        for place in dict.fromkeys(places):
            at, parent, module = place, None, None
            for n, part in enumerate(parts):
                full = ".".join(name.split(".")[: strip + n + 1])
                module = self._piece(at / part, full, basedir)
                if module is None:
                    break
                if parent is not None and part not in vars(parent):  # as Python does it: once; the package may bind the name anew
                    setattr(parent, part, module)
                parent, at = module, at / part
            if module is not None:
                if strip:
                    setattr(self._namespace("scripts", places), parts[0], self._piece(place / parts[0], f"scripts.{parts[0]}", basedir))
                return module
        return None

    def _piece(self, path: Path, name: str, basedir: Path) -> ModuleType | None:
        if path.with_suffix(".py").is_file() and not path.is_dir():
            return self._execute(path.with_suffix(".py"), name, basedir, package=name.rpartition(".")[0])
        if (path / "__init__.py").is_file():
            return self._execute(path / "__init__.py", name, basedir, package=name, inner=path)
        return self._namespace(name, [path]) if path.is_dir() else None

    def _namespace(self, name: str, places: Sequence[Path]) -> ModuleType:
        if name not in self._loaded:
            self._loaded[name] = ModuleType(name)
            self._loaded[name].__path__ = [str(place) for place in places]
        return self._loaded[name]


def _forget(named: dict[str, ModuleType]) -> None:
    """A loader is gone, and its modules with it."""
    for name, module in named.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


def _inside(module: ModuleType, name: str) -> ModuleType:
    for part in name.split(".")[1:]:
        found = getattr(module, part, None)
        if found is None:
            raise ModuleNotFoundError(f"{name} is not offered to scripts here", name=name)
        module = found
    return module


def _absolute(name: str, package: str, level: int) -> str:
    base = package.split(".")
    if level > 1:
        base = base[: -(level - 1)]
    return ".".join([*filter(None, base), *([name] if name else [])])


def _lies_in(top: str, basedir: Path) -> bool:
    """An extension's own package goes before an installed one of the same name."""
    return (basedir / f"{top}.py").is_file() or (basedir / top / "__init__.py").is_file()
