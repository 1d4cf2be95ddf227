"""Durations in clips' names, as people write them: "02,08s talk", "AD2_talk_4s", and whether the file agrees."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from clips.timeline import FPS

_DURATION = re.compile(r"(?<![^\W_])(?<![\d][.,])(\d{1,4})(?:[.,](\d{1,3}))?s(?![^\W_])", re.IGNORECASE)


@dataclass(frozen=True)
class NameDuration:
    """A duration as it is written: text "02,08s", seconds 2.08, tolerance half a unit of the last digit."""

    text: str
    seconds: Fraction
    tolerance_s: Fraction
    in_frames_s: Fraction | None
    """The same read as seconds and frames at 25 fps, None where that cannot be meant: 02,08 is 2.32 s."""


def name_duration(name: str) -> NameDuration | None:
    """The duration in a clip's name: a number with "s" right behind it, set off from other letters and digits by
    blanks, underscores or signs, with a comma or a point before its decimals. The last one where there are several;
    None where there is none."""
    found = list(_DURATION.finditer(name))
    if not found:
        return None
    whole, decimals = found[-1].group(1), found[-1].group(2) or ""
    seconds = Fraction(int(whole + decimals), 10 ** len(decimals))
    meant_frames = len(decimals) == 2 and int(decimals) < FPS
    return NameDuration(
        found[-1].group(), seconds, Fraction(1, 2 * 10 ** len(decimals)),
        int(whole) + int(decimals) / FPS if meant_frames else None,
    )  # fmt: skip


def name_note(name: str, duration_s: Fraction) -> str:
    """What to tell when a clip's name says another duration than its file has; "" when they agree, to one frame of the
    timeline and the digits given, or the name says none."""
    said = name_duration(name)
    if said is None or abs(duration_s - said.seconds) <= 1 / FPS + said.tolerance_s:
        return ""
    if said.in_frames_s is not None and abs(duration_s - said.in_frames_s) <= 1 / FPS:
        return f"its name says {said.text}, which fits its file as seconds and frames ({float(duration_s):.2f} s)"
    return f"its name says {said.text}, its file lasts {float(duration_s):.2f} s"
