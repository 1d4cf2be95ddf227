"""Presets: named blend settings in YAML, shipped in configs/presets and the person's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from blending import BlendSettings
from clips.errors import ClipError

SHIPPED = Path(__file__).parents[1] / "configs" / "presets"


def preset_names(workspace: Path | None = None) -> list[str]:
    """Names that `load_preset` knows; "default" comes first."""
    return ["default", *sorted(_preset_files(workspace).keys() - {"default"})]


def load_preset(name: str, workspace: Path | None = None) -> BlendSettings:
    """Settings by name: the declared defaults, changed where the preset says so."""
    if name == "default":
        return BlendSettings()
    files = _preset_files(workspace)
    if name not in files:
        raise ClipError(f"preset {name!r} does not exist; there are: {', '.join(preset_names(workspace))}")
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


def _preset_files(workspace: Path | None) -> dict[str, Path]:
    folders = [SHIPPED] + ([workspace / "presets"] if workspace else [])
    return {path.stem: path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.yaml"))}
