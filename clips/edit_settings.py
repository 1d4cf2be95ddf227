"""Every choice a person can make about cutting, declared once: flag, check and table are loops over it."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from blending.settings import DeclaredSettings, Number, Whole, among, choice, slider
from clips.edit_list import RAMP_FRAMES
from clips.timeline import FPS
from clips.vad import VAD_METHODS, SampleRange, find_speech

METHODS = tuple(sorted(VAD_METHODS, reverse=True))


class EditSettings(DeclaredSettings):
    """All choices about where speech is found and how clips are cut; frozen. Use `parse` for values from outside."""

    vad: Annotated[str, among(METHODS)] = choice(
        "silero", METHODS, label="Speech by",
        help="How speech is found. silero: a small network that knows speech; energy: by loudness.",
    )  # fmt: skip
    vad_threshold: Number = slider(
        0.5, 0.05, 0.95, 0.05, label="Threshold",
        help="What counts as speech: lower finds more of it. silero: its probability; energy: the level between the "
        "sound's quiet and its loud parts.",
    )  # fmt: skip
    min_silence_s: Number = slider(
        0.75, 0.1, 5.0, 0.05, label="Shortest pause", unit="s",
        help="Pauses shorter than this belong to the speech, also at the sound's beginning and end.",
    )  # fmt: skip
    pad_s: Number = slider(
        0.1, 0.0, 0.5, 0.02, label="Padding", unit="s",
        help="By how much speech is widened on either side, at most to the middle of a pause.",
    )  # fmt: skip
    dissolve_frames: Whole = slider(
        0, 0, 6, 1, label="Dissolve", unit="frames",
        help="Over how many frames a clip dissolves into the next one: 0 cuts. Beside a pause it takes the place of "
        "the ramp.",
    )  # fmt: skip
    ramp_frames: Whole = slider(
        RAMP_FRAMES, 0, 12, 1, label="Ramp", unit="frames",
        help="Over how many frames the generated face comes in after a pause, and goes out before one.",
    )  # fmt: skip
    seed: Whole = slider(
        0, 0, 9999, 1, label="Variation",
        help="Another number gives another choice among clips that fit about as well.",
    )  # fmt: skip

    @property
    def least_edge_frames(self) -> int:
        """Frames of silence at the sound's beginning and end below which they belong to the speech; the padding is
        taken off already."""
        return max(0, round((self.min_silence_s - self.pad_s) * FPS))

    def find_speech(self, samples: NDArray[np.float32]) -> list[SampleRange]:
        """Speech in a 16 kHz sound as these settings find it; see `clips.vad.find_speech`."""
        return find_speech(
            samples, self.vad, threshold=self.vad_threshold, min_silence_s=self.min_silence_s, pad_s=self.pad_s
        )
