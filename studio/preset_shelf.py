"""The person's own presets: save, rename and delete YAML files in the workspace, by name and never by path."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from blending import BlendSettings
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.ffmpeg import atomic_file
from clips.library import ClipLibrary
from clips.presets import SHIPPED, load_preset, preset_files, preset_folders
from studio.bases import is_own_video

MAX_NAME = 60
"""Characters of a preset's name; with the ending it stays below the 255 bytes that file systems take."""
MAX_PRESETS = 500
_FOR_PATHS = '/\\:*?"<>|'
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, halves of characters, line and paragraph separators."""
_TURNS_TEXT = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Direction marks, with which a name is shown as another one."""
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Scope:
    """What presets are for: everything, one model, or one clip of it."""

    model: str | None = None
    clip: str | None = None

    def __str__(self) -> str:
        return "everything" if self.model is None else self.model if self.clip is None else f"{self.model}, {self.clip}"


@dataclass(frozen=True)
class Preset:
    """One line of the list. kind: "shipped" or "own"; error: why it cannot be used, empty when it can."""

    name: str
    kind: str
    scope: str
    when: str
    settings: BlendSettings | None
    error: str = ""

    def describe(self) -> dict[str, object]:
        """As JSON values."""
        settings = None if self.settings is None else self.settings.model_dump()
        return {
            "name": self.name, "kind": self.kind, "scope": self.scope, "when": self.when, "settings": settings,
            "error": self.error,
        }  # fmt: skip


def plain_name(name: object, what: str = "preset") -> str:
    """A name as it may stand in a file name on every system, in Unicode's composed form; else ClipError."""
    if not isinstance(name, str):
        raise ClipError(f"the name of a {what} must be text; got {type(name).__name__}")
    name = unicodedata.normalize("NFC", name).strip()
    if not name:
        raise ClipError(f"a {what} needs a name; got an empty one")
    if len(name) > MAX_NAME or len(name.encode("utf-8", "replace")) > 200:
        raise ClipError(f"the name of a {what} may have {MAX_NAME} characters; got {len(name)}: choose a shorter one")
    wrong = sorted({c for c in name if c in _FOR_PATHS or unicodedata.category(c) in _NO_TEXT or c in _TURNS_TEXT})
    if wrong:
        shown = " ".join(repr(c)[1:-1] for c in wrong)
        raise ClipError(f"the name of a {what} must be a plain name; {shown} cannot stand in one: leave it out")
    if name.startswith(".") or name.endswith(".") or name.split(".")[0].strip().lower() in _WINDOWS_DEVICES:
        raise ClipError(f"{name!r} cannot be the name of a {what} on every system; choose another name")
    return name


def same_name(one: str, other: str) -> bool:
    """Whether two names would meet on a file system that does not tell case or composition."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class PresetShelf:
    """Lists, saves, renames and deletes. Shipped presets (default and configs/presets) cannot be touched."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace

    def listing(self, model: str | None = None, clip: str | None = None) -> tuple[list[Preset], list[str]]:
        """Presets for a model and clip, shipped ones first, and notes on files that are left aside."""
        scope = self._scope(model, clip)
        files = preset_files(self._workspace, scope.model, scope.clip)
        shown = [Preset("default", "shipped", str(Scope()), "the built-in values", BlendSettings())]
        shown += [self._look(name, path, scope) for name, path in files.items() if name != "default"]
        shown.sort(key=lambda preset: (preset.name != "default", preset.kind != "shipped", _folded(preset.name)))
        notes = [
            f"presets/{folder.relative_to(self._workspace / 'presets') / 'default.yaml'} is left aside: default names "
            "the built-in values; rename the file to use it"
            for folder in preset_folders(self._workspace, scope.model, scope.clip)
            if (folder / "default.yaml").is_file()
        ]
        return shown, notes

    def load(self, name: object, model: str | None = None, clip: str | None = None) -> BlendSettings:
        """Settings of a preset. ClipError for an unknown one, or a file that cannot be used."""
        if not isinstance(name, str):
            raise ClipError(f"the name of a preset must be text; got {type(name).__name__}")
        scope = self._scope(model, clip)
        return load_preset(name, self._workspace, model=scope.model, clip=scope.clip)

    def save(
        self,
        name: object,
        values: Mapping[str, Any],
        *,
        model: str | None = None,
        clip: str | None = None,
        when: str = "",
        replace: bool = False,
    ) -> str:
        """Write all values under a name, complete or not at all; returns the name as it is stored.

        replace: an own preset of exactly this name may be overwritten. ValueError: a value out of range.
        """
        settings = BlendSettings.parse(values)
        scope, name = self._scope(model, clip), plain_name(name)
        if not isinstance(when, str) or len(when) > 300:
            raise ClipError("when to use a preset must be said in text of at most 300 characters")
        own = self._own(scope)
        self._check_free(name, own, allowed=name if replace else None)
        if name not in own and len(own) >= MAX_PRESETS:
            raise ClipError(f"there are {len(own)} presets for {scope}; delete some before saving more")
        entries = ({"when": " ".join(when.split())} if when.strip() else {}) | settings.model_dump()
        with atomic_file(self._folder(scope) / f"{name}.yaml") as partial:
            partial.write_text(yaml.safe_dump(entries, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return name

    def rename(self, name: object, new: object, *, model: str | None = None, clip: str | None = None) -> str:
        """Give an own preset another name; returns it as it is stored."""
        scope, new = self._scope(model, clip), plain_name(new)
        source = self._find_own(name, scope)
        self._check_free(new, self._own(scope), allowed=None, but=source.stem)
        source.rename(source.with_name(f"{new}.yaml"))
        return new

    def delete(self, name: object, *, model: str | None = None, clip: str | None = None) -> None:
        """Remove an own preset of exactly this scope."""
        self._find_own(name, self._scope(model, clip)).unlink()

    def _scope(self, model: str | None, clip: str | None) -> Scope:
        """Names checked against the library, since they become folders. The automatic base and a person's own
        video count for the model."""
        for what, name in (("model", model), ("clip", clip)):
            if name is not None and not isinstance(name, str):
                raise ClipError(f"the {what} of a preset must be a name; got {type(name).__name__}")
        if model is None:
            return Scope()
        library = ClipLibrary(self._workspace)
        library.any_clips(model)
        of_model = clip is None or clip == AUTOMATIC or is_own_video(clip)
        return Scope(model, None if of_model else library.clip(model, str(clip)).name)

    def _folder(self, scope: Scope) -> Path:
        return preset_folders(self._workspace, scope.model, scope.clip)[-1]

    def _own(self, scope: Scope) -> dict[str, Path]:
        """Files of exactly this scope by name."""
        folder = self._folder(scope)
        paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
        return {path.stem: path for path in paths if path.is_file() and not path.name.startswith(".")}

    def _find_own(self, name: object, scope: Scope) -> Path:
        if not isinstance(name, str):
            raise ClipError(f"the name of a preset must be text; got {type(name).__name__}")
        own = self._own(scope)
        if name in own:
            return own[name]
        if name in _shipped():
            raise ClipError(f"{name} comes with Seamline and stays as it is; save it under another name to change it")
        known = ", ".join(own) or "none"
        raise ClipError(f"you have no preset {name!r} for {scope}; there are: {known}")

    def _check_free(self, name: str, own: Mapping[str, Path], *, allowed: str | None, but: str = "") -> None:
        for shipped in _shipped():
            if same_name(name, shipped):
                raise ClipError(f"{shipped} comes with Seamline and stays as it is; save under another name")
        for other in own:
            if same_name(name, other) and other not in (allowed, but):
                how = "replace it, or save under another name" if other == name else "save under another name"
                raise ClipError(f"there is a preset {other!r} already; {how}")

    def _look(self, name: str, path: Path, scope: Scope) -> Preset:
        kind = "shipped" if path.parent == SHIPPED else "own"
        depth = len(path.parent.relative_to(self._workspace / "presets").parts) if kind == "own" else 0
        of = str((Scope(), Scope(scope.model), scope)[depth])
        try:
            settings = load_preset(name, self._workspace, model=scope.model, clip=scope.clip)
        except ClipError as e:
            return Preset(name, kind, of, "", None, str(e))
        when = yaml.safe_load(path.read_text(encoding="utf-8")).get("when", "")
        return Preset(name, kind, of, str(when), settings)


def _shipped() -> list[str]:
    return ["default", *sorted(path.stem for path in SHIPPED.glob("*.yaml"))]
