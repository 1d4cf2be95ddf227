"""What the README says about settings and commands is what the program has."""

import re
from pathlib import Path

from blending import BlendSettings
from blending.settings import DeclaredSettings
from clips.edit_settings import EditSettings
from studio.api import Endpoints
from studio.layout import _part
from studio.limits import CALL_LIMIT, PAGE_LIMIT

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings_rows(settings: type[DeclaredSettings], prefix: str = "", space: str = "_") -> list[str]:
    rows = []
    for control in settings.controls():
        if control.kind == "choice":
            default, values = f"`{control.default}`", ", ".join(f"`{choice}`" for choice in control.choices)
        else:
            default = f"{control.default:g}"
            values = f"{control.minimum:g} to {control.maximum:g}, step {control.step:g}"
        name = prefix + control.name.replace("_", space)
        rows.append(f"| `{name}` | {default} | {values} | {control.help} |")
    return rows


def test_settings_table_is_the_declared_one():
    shown = [line for line in README.splitlines() if re.match(r"\| `[a-z_]+` \|", line)]
    assert shown == settings_rows(BlendSettings)


def test_editing_flags_are_the_declared_ones():
    shown = [line for line in README.splitlines() if re.match(r"\| `--[a-z-]+` \|", line)]
    assert shown == settings_rows(EditSettings, "--", "-")


def test_named_files_exist():
    for name in re.findall(r"`((?:models|clips|docs)/[\w./]+)`", README) + re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (ROOT / name).exists(), name


def test_the_limits_of_a_sound_are_told_as_they_are():
    assert README.count(PAGE_LIMIT) == README.count(CALL_LIMIT) == 1
    for part in ("help",):
        assert PAGE_LIMIT in _part(part)
    for call in (Endpoints.preview, Endpoints.render, Endpoints.sweep):
        assert f"of at most {CALL_LIMIT}" in (call.__doc__ or "")
