"""Every choice a person can make about a blend, declared once: slider, flag, YAML check and table are loops over it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from blending.colour import COLOUR_METHODS
from blending.composite import COMPOSITORS
from blending.mask import MatteShape

FEATHER_UNITS = ("adaptive", "px")
SWITCH = ("on", "off")
REGISTRATIONS = ("on", "smoothed", "off")

ADAPTIVE_SHARE = 0.15 / 30
"""One step of adaptive feather as a part of the square's side: 30 steps are .15 S."""


@dataclass(frozen=True)
class Control:
    """One setting as a page, a flag or a table shows it; numbers are None for a choice, choices empty for a slider."""

    name: str
    label: str
    kind: Literal["slider", "choice"]
    default: float | str
    minimum: float | None
    maximum: float | None
    step: float | None
    unit: str
    choices: tuple[str, ...]
    help: str
    whole: bool = False

    def expected(self) -> str:
        """The allowed values in words, as messages and tables give them."""
        if self.kind == "slider":
            return f"{'a whole number ' if self.whole else ''}between {self.minimum} and {self.maximum}"
        return f"one of {', '.join(self.choices)}"


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a switch is not a number")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_number)]


def slider(
    default: float, minimum: float, maximum: float, step: float, *, label: str, unit: str = "", help: str
) -> Any:
    return Field(
        default,
        ge=minimum,
        le=maximum,
        allow_inf_nan=False,
        title=label,
        description=help,
        json_schema_extra={"minimum": minimum, "maximum": maximum, "step": step, "unit": unit},
    )


def choice(default: str, choices: tuple[str, ...], *, label: str, help: str) -> Any:
    return Field(default, title=label, description=help, json_schema_extra={"enum": list(choices)})


def among(choices: tuple[str, ...]) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, bool) and set(SWITCH) <= set(choices):
            value = "on" if value else "off"  # what YAML makes of a plain on and off
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return BeforeValidator(check)


class DeclaredSettings(BaseModel):
    """Choices that a person can make, each declared once with slider() or choice(); frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a mapping of names to values; what is left out keeps its default.

        Raises ValueError with one readable sentence per mistake: unknown name (with the nearest one), value out of
        range, NaN, wrong type, unknown choice.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"settings must be a mapping of names to values; got {type(values).__name__}")
        named = {str(name): value for name, value in values.items()}
        try:
            return cls(**named)
        except ValidationError as error:
            controls = {control.name: control for control in cls.controls()}
            names = dict.fromkeys(str(part["loc"][0]) for part in error.errors())
            raise ValueError("; ".join(_mistake(name, named[name], controls) for name in names)) from error

    @classmethod
    def controls(cls) -> list[Control]:
        """Every setting in the order of declaration, with what a page needs to show it."""
        return [_control(name, field) for name, field in cls.model_fields.items()]


_COMPOSITORS, _COLOURS = tuple(COMPOSITORS), tuple(COLOUR_METHODS)


class BlendSettings(DeclaredSettings):
    """All choices about a blend; frozen. Use `parse` for values from outside: its errors are meant to be read."""

    expansion_ratio: Number = slider(
        1.15, 1.0, 1.3, 0.01, label="Expansion", unit="x",
        help="How far the matte reaches over the face's outline: 1.0-1.1 tighter, 1.2-1.3 larger.",
    )  # fmt: skip
    feather_amount: Number = slider(
        30, 0, 60, 1, label="Feather",
        help="How softly the generated face runs out: 10-20 sharper, 30-50 smoother.",
    )  # fmt: skip
    feather_unit: Annotated[str, among(FEATHER_UNITS)] = choice(
        "adaptive", FEATHER_UNITS, label="Feather unit",
        help="adaptive: 30 is 15 % of the generated square, whatever the face's size; px: pixels of the frame.",
    )  # fmt: skip
    adapt: Annotated[str, among(SWITCH)] = choice(
        "on", SWITCH, label="Adapt",
        help="on: an adaptive feather narrows where the corrected picture comes close to the plate, and widens where "
        "it stays far; the matte follows a dropped jaw; off: as set.",
    )  # fmt: skip
    compositor: Annotated[str, among(_COMPOSITORS)] = choice(
        "alpha", _COMPOSITORS, label="Method",
        help="alpha: mixed by the matte; poisson: generated gradients between plate values; multiband: coarse "
        "structure mixed wider than fine; hard: the square pasted whole, to compare.",
    )  # fmt: skip
    colour: Annotated[str, among(_COLOURS)] = choice(
        "membrane", _COLOURS, label="Colour",
        help="Brings generated colours to the plate's. membrane: place by place; covariance, mean_std, histogram: by "
        "the skin's statistics; none: as they are.",
    )  # fmt: skip
    colour_amount: Number = slider(
        1.0, 0.0, 1.0, 0.05, label="Colour amount",
        help="How much of the colour correction is applied: 0 none of it, 1 all of it.",
    )  # fmt: skip
    texture: Number = slider(
        1.0, 0.0, 1.0, 0.05, label="Texture",
        help="The plate's stubble and grain on generated skin that lacks them, never on the lips: 0 none, 1 as much as "
        "is missing.",
    )  # fmt: skip
    registration: Annotated[str, among(REGISTRATIONS)] = choice(
        "on", REGISTRATIONS, label="Registration",
        help="on: the generated square is moved and scaled onto the plate, frame by frame, 3 px in 328 at most; "
        "smoothed: by the mean of its neighbours; off: not.",
    )  # fmt: skip
    outward_share: Number = slider(
        0.0, 0.0, 1.0, 0.05, label="Feather outward",
        help="Part of the feather that runs outward from the expanded outline instead of inward: 0 none, 1 all of it.",
    )  # fmt: skip
    # 1.5 by measurement: where a generated jaw drops below the plate's, unknown to us, the visible error falls by 14 %
    # (10 pairs) and the seam at LS1's chin by half, for .03 of CIEDE2000 more in the neck.
    down_share: Number = slider(
        1.25, 0.0, 2.0, 0.05, label="Expansion to the neck", unit="x",
        help="The expansion below the chin, as a multiple of the expansion: more lets a generated jaw drop.",
    )  # fmt: skip
    side_share: Number = slider(
        1.0, 0.0, 2.0, 0.05, label="Expansion sideways", unit="x",
        help="The expansion beside the cheeks, as a multiple of the expansion: 0 ends at the face's outline.",
    )  # fmt: skip
    use_parsing: Annotated[str, among(SWITCH)] = choice(
        "on", SWITCH, label="Parsing masks",
        help="on: where a data set has parsing masks, clothes and background stay plate; off: they are left aside.",
    )  # fmt: skip

    def feather_px(self, side: int) -> float:
        """Width of the feather in px for a generator's square of `side` px."""
        return self.feather_amount if self.feather_unit == "px" else ADAPTIVE_SHARE * side * self.feather_amount

    @property
    def follows_match(self) -> bool:
        """Whether feather and reach depend on how well the square matches the plate."""
        return self.adapt == "on" and self.feather_unit == "adaptive"

    def matte_shape(self, side: int, feather_share: float = 1.0, reach_share: float = 1.0) -> MatteShape:
        """The numbers of the matte for a generator's square of `side` px, with those parts of the feather and of the
        reach below the chin."""
        return MatteShape(
            self.expansion_ratio, feather_share * self.feather_px(side), self.outward_share,
            reach_share * self.down_share, self.side_share,
        )  # fmt: skip


def _control(name: str, field: Any) -> Control:
    extra: dict[str, Any] = field.json_schema_extra
    return Control(
        name=name,
        label=field.title,
        kind="choice" if "enum" in extra else "slider",
        default=field.default,
        minimum=extra.get("minimum"),
        maximum=extra.get("maximum"),
        step=extra.get("step"),
        unit=extra.get("unit", ""),
        choices=tuple(extra.get("enum", ())),
        help=field.description,
        whole=field.annotation is int,
    )


def _mistake(name: str, value: object, controls: dict[str, Control]) -> str:
    if name not in controls:
        near = difflib.get_close_matches(name.lower(), controls, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(controls)}"
        return f"{name} is not a setting; {hint}"
    control = controls[name]
    near = difflib.get_close_matches(str(value).lower(), control.choices, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{name} must be {control.expected()}; got {_shown(value)}{hint}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
