"""What the README says about settings and commands is what the program has."""

import re
from pathlib import Path

from blending import BlendSettings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings_rows() -> list[str]:
    rows = []
    for control in BlendSettings.controls():
        if control.kind == "choice":
            default, values = f"`{control.default}`", ", ".join(f"`{choice}`" for choice in control.choices)
        else:
            default = f"{control.default:g}"
            values = f"{control.minimum:g} to {control.maximum:g}, step {control.step:g}"
        rows.append(f"| `{control.name}` | {default} | {values} | {control.help} |")
    return rows


def test_settings_table_is_the_declared_one():
    shown = [line for line in README.splitlines() if re.match(r"\| `[a-z_]+` \|", line)]
    assert shown == settings_rows()


def test_named_files_exist():
    for name in re.findall(r"`((?:models|clips|docs)/[\w./]+)`", README) + re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (ROOT / name).exists(), name
