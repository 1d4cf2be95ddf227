"""Pictures of a training run: the sample sheet and the loss curve. Arrays and rows in, frames out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame, to_frame

CURVE_WH = (960, 540)
MARGIN_PX = 60
INK, GRID = (40, 40, 40), (225, 225, 225)
COLOURS = ((180, 110, 30), (40, 110, 210), (70, 150, 60), (150, 70, 140), (60, 60, 200), (120, 120, 120))


@dataclass(frozen=True)
class Logged:
    """One value of the log: stage ("audio" or "unet"), step, name and value."""

    stage: str
    step: int
    name: str
    value: float


def sample_sheet(
    truth: NDArray[np.float32], drawn: NDArray[np.float32], mouths: Sequence[tuple[int, int, int, int]]
) -> Frame:
    """Four rows, one column per sample: true and drawn picture, true and drawn mouth enlarged to the same side.

    truth, drawn: (B, s, s, 3) BGR 0..1; mouths: x0 y0 x1 y1 in px.
    """
    side = truth.shape[1]
    columns = []
    for true, made, (x0, y0, x1, y1) in zip(truth, drawn, mouths, strict=True):
        pictures = [to_frame(true), to_frame(made)]
        near = [cv2.resize(p[y0:y1, x0:x1], (side, side), interpolation=cv2.INTER_CUBIC) for p in pictures]
        columns.append(np.concatenate([*pictures, *near]))
    return np.concatenate(columns, axis=1)


def loss_curve(rows: Sequence[Logged], stage: str) -> Frame:
    """One curve per name logged in that stage over its steps, each scaled from its own lowest to its highest value,
    with first, best and last value in the legend; an empty panel where nothing was logged."""
    width, height = CURVE_WH
    canvas = np.full((height, width, 3), 255, np.uint8)
    inner = (MARGIN_PX, MARGIN_PX, width - MARGIN_PX, height - MARGIN_PX)
    cv2.rectangle(canvas, inner[:2], inner[2:], GRID, 1)
    chosen = [row for row in rows if row.stage == stage]
    last = max((row.step for row in chosen), default=0)
    _write(canvas, f"{stage}: steps 0 to {last}", (MARGIN_PX, height - 20))
    for place, name in enumerate(dict.fromkeys(row.name for row in chosen)):
        points = np.array([(row.step, row.value) for row in chosen if row.name == name])
        low, high = points[:, 1].min(), points[:, 1].max()
        x = inner[0] + points[:, 0] / max(last, 1) * (inner[2] - inner[0])
        y = inner[3] - (points[:, 1] - low) / max(high - low, 1e-9) * (inner[3] - inner[1])
        colour = COLOURS[place % len(COLOURS)]
        line = np.rint(np.stack([x, y], axis=1) * 16).astype(np.int32)
        cv2.polylines(canvas, [line], False, colour, 2, cv2.LINE_AA, shift=4)
        told = f"{name}: {points[0, 1]:.3f} to {points[-1, 1]:.3f} (lowest {low:.3f}, highest {high:.3f})"
        _write(canvas, told, (width // 2 - 130, MARGIN_PX + 24 + 22 * place), colour)
    return canvas


def _write(canvas: Frame, text: str, at: tuple[int, int], colour: tuple[int, int, int] = INK) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
