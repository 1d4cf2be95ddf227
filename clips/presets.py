"""Presets: named blend settings in YAML, shipped in configs/presets and the person's own.

A preset of the workspace holds for everything (presets/NAME.yaml), for one model (presets/MODEL/NAME.yaml) or for one
clip of it (presets/MODEL/CLIP/NAME.yaml). Where names are equal the narrower one is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from blending import BlendSettings
from clips.errors import ClipError

SHIPPED = Path(__file__).parents[1] / "configs" / "presets"


def preset_names(workspace: Path | None = None, *, model: str | None = None, clip: str | None = None) -> list[str]:
    """Names that `load_preset` knows for a model and clip; "default" comes first."""
    return ["default", *sorted(preset_files(workspace, model, clip).keys() - {"default"})]


def load_preset(
    name: str, workspace: Path | None = None, *, model: str | None = None, clip: str | None = None
) -> BlendSettings:
    """Settings by name: the declared defaults, changed where the preset says so."""
    if name == "default":
        return BlendSettings()
    files = preset_files(workspace, model, clip)
    if name not in files:
        known = ", ".join(preset_names(workspace, model=model, clip=clip))
        raise ClipError(f"preset {name!r} does not exist; there are: {known}")
    try:
        entries = yaml.safe_load(files[name].read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as e:
        raise ClipError(f"preset {name} cannot be read as YAML ({e}); mend or remove {files[name].name}") from e
    if not isinstance(entries, Mapping):
        raise ClipError(f"preset {name} must be a list of 'setting: value' lines; got {type(entries).__name__}")
    try:
        return BlendSettings.parse({key: value for key, value in entries.items() if key != "when"})
    except ValueError as e:
        raise ClipError(f"preset {name}: {e}") from e


def change_settings(settings: BlendSettings, pairs: list[str]) -> BlendSettings:
    """Settings with `key=value` pairs applied; ValueError names the pair that does not fit."""
    values: dict[str, Any] = settings.model_dump()
    kinds = {control.name: control.kind for control in BlendSettings.controls()}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator:
            raise ValueError(f"a setting must be given as key=value; got {pair!r}")
        key = key.strip()
        if not key:
            raise ValueError(f"a setting must be given as key=value; got {pair!r}")
        values[key] = _number(key, text) if kinds.get(key) == "slider" else text.strip()
    return BlendSettings.parse(values)


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as e:
        raise ValueError(f"{key} must be a number; got {text!r}") from e


def preset_folders(workspace: Path, model: str | None = None, clip: str | None = None) -> list[Path]:
    """Folders of the person's own presets, from those for everything to those for the clip. model and clip must be
    names of the library: they become parts of a path."""
    parts = [part for part in (model, clip if model else None) if part is not None]
    return [(workspace / "presets").joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]


def preset_files(
    workspace: Path | None, model: str | None = None, clip: str | None = None, *, shipped: bool = True
) -> dict[str, Path]:
    """Files by name; the narrowest of a name. shipped: with those that come with the project."""
    folders = [SHIPPED] * shipped + (preset_folders(workspace, model, clip) if workspace else [])
    return {
        path.stem: path
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.glob("*.yaml"))
        if path.is_file() and not path.name.startswith(".")
    }
