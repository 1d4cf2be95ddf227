"""Gradio controls of the blend settings, in the order an artist reaches for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import gradio as gr

from blending import BlendSettings

SettingControl: TypeAlias = "gr.Slider | gr.Radio | gr.Dropdown"

GROUPS = {
    "Mask": ("expansion_ratio", "feather_amount", "feather_unit"),
    "Blend": ("compositor", "texture"),
    "Colour": ("colour", "colour_amount"),
}
MORE = tuple(c.name for c in BlendSettings.controls() if c.name not in sum(GROUPS.values(), ()))

SEGMENTS = 4
"""More choices than this do not fit beside each other: they become a list."""


def settings_controls(names: Sequence[str]) -> dict[str, SettingControl]:
    """One control per named setting, in that order."""
    known = {control.name: control for control in BlendSettings.controls()}
    made: dict[str, SettingControl] = {}
    for control in (known[name] for name in names):
        if control.kind == "slider":
            made[control.name] = gr.Slider(
                control.minimum, control.maximum, value=control.default, step=control.step,
                label=control.label, info=control.help, elem_id=f"sl-{control.name}", buttons=["reset"],
            )  # fmt: skip
        elif len(control.choices) > SEGMENTS:
            made[control.name] = gr.Dropdown(
                list(control.choices), value=control.default, label=control.label, info=control.help,
                elem_id=f"sl-{control.name}", elem_classes="sl-line", filterable=False,
            )  # fmt: skip
        else:
            made[control.name] = gr.Radio(
                list(control.choices), value=control.default, label=control.label, info=control.help,
                elem_id=f"sl-{control.name}",
            )  # fmt: skip
    return made
