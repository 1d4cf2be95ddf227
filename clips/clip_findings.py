"""What clips' statistics mean: how they go together, which suit best, and what to do about the rest, in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blending import align_landmarks_to_reference
from clips.clip_statistics import ClipStatistics, measure_statistics
from clips.errors import ClipError
from clips.head_pose import turn_deg
from clips.library import SAME_LIGHT, CoreClip, appearance_distance
from clips.timeline import counted, frames_named
from clips.training_light import distance_to_training, training_light

# Limits. In brackets the bundled clips of one light and framing / the three hard clips / a person's 10 s.
LIGHT_STEP = 6.0  # sudden change of light (1.4 / 22 / 1.6)
LIGHT_SPREAD = 8.0  # distance from its usual light that 95 % of a clip's frames keep (2.2 / 14 / 6.3)
LOOP_PCT = 2.0  # last frame against first, landmarks (.36 / 6 to 25 / 23): a step of talking is 1.6 at most
LOOP_LEVELS = 2.0  # the same, pictures (.39 / 4.6 to 16 / 6.1): neighbouring frames differ by 1.5 at most
TURN_DEG = 5.0  # usual pose against the lead clip's (1.0 / 8 to 10)
RANGE_DEG = 20.0  # furthest from the usual pose (4.6 / 12 / 24): what the model drew at +-10 it was trained on
SIZE_PCT = 5.0  # face against the lead clip's (1; evening 9 / 22)
RESIDUAL_PCT = 3.0  # landmarks laid onto the lead's, in % of the face (.9; evening 1.3 / 2.1 to 3.0)

SCORE_WORDS = (
    "Score: 100, less up to {most} points each for pose (landmarks laid onto those of {lead}, turn, size), light "
    "(against {lead}, and over the clip), quality (frames without a face, detector, jitter), loop{training}. All of "
    "a part's points go at its limit, a quarter of them half way there."
)
"""What a score is made of; see `ModelAssessment.score_words`."""


@dataclass(frozen=True)
class Finding:
    """Something worth knowing about a clip. topic: one word; words: what is so; advice: what to do; fault: whether it
    makes the clip unfit; flag: what does it at the command line."""

    topic: str
    words: str
    advice: str
    fault: bool = False
    flag: str = ""

    def __str__(self) -> str:
        return f"{self.words}: {self.advice}"


@dataclass(frozen=True, eq=False)
class ClipAssessment:
    """A clip among the model's others.

    residual_pct: its landmarks laid onto the lead's by a similarity, what is left of brows, eyes and nose in % of the
    face; turn_deg, size_pct, light: its usual pose, face and light against the lead's; training: light on the face
    against the nearest training footage, NaN where the model's card says none. parts: points taken off, by name: pose,
    light, quality, loop and, where known, training; score = 100 less their sum.
    """

    statistics: ClipStatistics
    residual_pct: float
    turn_deg: float
    size_pct: float
    light: float
    training: float
    parts: Mapping[str, float]
    findings: tuple[Finding, ...]

    @property
    def name(self) -> str:
        return self.statistics.name

    @property
    def score(self) -> float:
        return 100 - sum(self.parts.values())

    @property
    def score_words(self) -> str:
        """What the score lost and on what, most first: "81: light -12, loop -7"."""
        lost = sorted(((name, off) for name, off in self.parts.items() if off >= 0.5), key=lambda item: -item[1])
        return f"{self.score:.0f}" + (": " + ", ".join(f"{name} -{off:.0f}" for name, off in lost) if lost else "")


@dataclass(frozen=True, eq=False)
class ModelAssessment:
    """All clips of a model, in the order they were given. lead: name of the clip the others are compared with, the
    first silence clip, else the first; training: whether the model's training light is known; unmeasured: names of
    clips that could not be measured, and why."""

    model: str
    lead: str
    clips: tuple[ClipAssessment, ...]
    training: bool
    unmeasured: tuple[tuple[str, str], ...] = ()

    @property
    def ranking(self) -> tuple[ClipAssessment, ...]:
        """Best first; of equals the first by name."""
        return tuple(sorted(self.clips, key=lambda one: (-round(one.score, 6), one.name)))

    @property
    def score_words(self) -> str:
        """What a score is made of, in words."""
        training, most = (", training light", 20) if self.training else ("", 25)
        return SCORE_WORDS.format(lead=repr(self.lead), training=training, most=most)


def assess_model(
    clips: Sequence[CoreClip], workspace: Path, progress: Callable[[str, int, int], None] | None = None
) -> ModelAssessment:
    """Measure and compare preprocessed clips of one model, but for those that cannot be read. progress(clip name,
    frames done, frames in all).

    ClipError as `measure_statistics` where no clip can be read, and as `training_light`; ValueError for no clip.
    """

    def told(name: str) -> Callable[[int, int], None] | None:
        if progress is None:
            return None
        return lambda done, total: progress(name, done, total)

    if not clips:
        raise ValueError("clips must hold at least one; got none")
    known = training_light(clips[0].model, workspace)
    measured, broken = [], []
    for clip in clips:
        try:
            measured.append(measure_statistics(clip, told(clip.name)))
        except ClipError as error:
            broken.append((clip.name, str(error)))
    if not measured:
        raise ClipError(broken[0][1])
    return replace(compare(measured, known), unmeasured=tuple(broken))


def compare(everything: Sequence[ClipStatistics], training: Mapping[str, NDArray[np.float64]]) -> ModelAssessment:
    """Assess clips of one model that have been measured; pure. ValueError for none."""
    if not everything:
        raise ValueError("everything must hold at least one clip; got none")
    lead = next((one for one in everything if one.kind == "silence"), everything[0])
    return ModelAssessment(
        lead.model, lead.name, tuple(_assess(one, lead, training) for one in everything), bool(training)
    )


def _assess(one: ClipStatistics, lead: ClipStatistics, training: Mapping[str, NDArray[np.float64]]) -> ClipAssessment:
    residual = pose_residual_pct(one, lead)
    turn = turn_deg(one.usual_rotation, lead.usual_rotation)
    size = 100 * (one.face_px / one.size_wh[0]) / (lead.face_px / lead.size_wh[0]) - 100
    light = appearance_distance(one.usual_light, lead.usual_light)
    learnt = distance_to_training(one.usual_light, training)
    shares = {
        "pose": max(residual / RESIDUAL_PCT, turn / (2 * TURN_DEG), abs(size) / (4 * SIZE_PCT)),
        "light": max(light / SAME_LIGHT, one.light_spread / LIGHT_SPREAD, _change(one) / LIGHT_STEP),
        "quality": _quality(one),
        "loop": max(one.loop.landmarks_pct / LOOP_PCT, one.loop.picture_levels / LOOP_LEVELS),
        **({"training": learnt / SAME_LIGHT} if math.isfinite(learnt) else {}),
    }
    parts = {name: 100 / len(shares) * min(share, 1.0) ** 2 for name, share in shares.items()}
    findings = [*own_findings(one)]
    if one is not lead:
        findings += _against_lead(lead.name, turn, one, lead, size, light)
    if learnt > SAME_LIGHT:
        findings.append(
            Finding(
                "training", f"light on the face unlike the training footage (by {learnt:.0f})",
                "look at the blend closely, or train the model on its core clips as well",
                flag="models.train --include-core-clips",
            )
        )  # fmt: skip
    return ClipAssessment(one, residual, turn, size, light, learnt, parts, tuple(findings))


def _change(one: ClipStatistics) -> float:
    return 0.0 if one.change is None else one.change.amount


def _quality(one: ClipStatistics) -> float:
    """The worst of: frames without a face over 1 in 20, the detector's doubt over .4, jitter over 1 %."""
    jitter = one.jitter_pct if math.isfinite(one.jitter_pct) else 0.0
    doubt = 1 - float(one.confidence[one.found].mean())
    return max(20 * float((~one.found).mean()), doubt / 0.4, jitter)


def pose_residual_pct(one: ClipStatistics, lead: ClipStatistics) -> float:
    """Root of the mean square, over the frames with a face, of what is left between brows, eyes and nose and the
    lead's usual ones after `align_landmarks_to_reference`, in % of the face. Mouth and jaw speak: they do not count."""
    still = slice(17, 48)
    left = [
        ((align_landmarks_to_reference(points, lead.usual_points) - lead.usual_points)[still] ** 2).sum(axis=1).mean()
        for points in one.points[one.found]
    ]
    return float(np.sqrt(np.mean(left)) / lead.face_px * 100)


def own_findings(one: ClipStatistics) -> list[Finding]:
    """What stands out in a clip by itself."""
    found = []
    if one.change is not None and one.change.amount > LIGHT_STEP:
        found.append(
            Finding(
                "light change",
                f"the light changes after frame {one.change.last}, within "
                f"{counted(one.change.first - one.change.last, 'frame')} (by {one.change.amount:.0f})",
                "film with lamps and exposure left alone, or keep only one side of it", fault=True,
            )
        )  # fmt: skip
    elif one.light_spread > LIGHT_SPREAD:
        found.append(
            Finding(
                "light", f"the light varies by {one.light_spread:.0f} over the clip",
                "film with exposure and white balance locked, away from windows",
            )
        )  # fmt: skip
    furthest = max(turn_deg(rotation, one.usual_rotation) for rotation in one.rotations[one.found])
    if furthest > RANGE_DEG:
        found.append(
            Finding(
                "pose range", f"the head turns up to {furthest:.0f} degrees away from its usual pose",
                "models draw best what they were trained on; keep the head calmer",
            )
        )  # fmt: skip
    if one.loop.landmarks_pct > LOOP_PCT or one.loop.picture_levels > LOOP_LEVELS:
        found.append(
            Finding(
                "loop",
                f"does not loop (last frame {one.loop.landmarks_pct:.1f} % of the face and "
                f"{one.loop.picture_levels:.1f} levels from the first)",
                "begin and end in one pose with the mouth closed, then it can be repeated and cut to",
            )
        )  # fmt: skip
    return found + _outlier_findings(one)


_OUTLIER_WORDS = {
    "no face": ("no face", "keep the face in the picture, or cut these frames off"),
    "place, % of the face": ("the face jumps", "look for a cut or a second person, and cut there"),
    "turn, degrees": ("the landmarks leap", "look at these frames: a hand before the face, motion blur"),
    "light": ("a flash", "cut these frames off, or film anew without flicker"),
    "detector unsure, confidence": ("the face is hard to find", "light the face, keep hands and hair off it"),
}


def _outlier_findings(one: ClipStatistics) -> list[Finding]:
    found = []
    for what, (words, advice) in _OUTLIER_WORDS.items():
        frames = [outlier.frame for outlier in one.outliers if outlier.what == what]
        if frames:
            found.append(Finding(what.split(",")[0], f"{words} in {frames_named(frames)}", advice))
    return found


def _against_lead(
    name: str, turn: float, one: ClipStatistics, lead: ClipStatistics, size: float, light: float
) -> list[Finding]:
    found = []
    if turn > TURN_DEG:
        yaw, pitch, roll = np.median(one.pose_deg[one.found], axis=0) - np.median(lead.pose_deg[lead.found], axis=0)
        found.append(
            Finding(
                "pose",
                f"head turned {turn:.0f} degrees away from {name!r} (yaw {yaw:+.0f}, pitch {pitch:+.0f}, "
                f"roll {roll:+.0f})",
                "a cut to it shows as a jump; use it alone, or film it in the pose of the others",
            )
        )  # fmt: skip
    if abs(size) > SIZE_PCT:
        found.append(
            Finding(
                "size", f"face {abs(size):.0f} % {'larger' if size > 0 else 'smaller'} than in {name!r}",
                "a cut to it shows as a jump; keep camera and chair where they were",
            )
        )  # fmt: skip
    if light > SAME_LIGHT:
        found.append(
            Finding(
                "light", f"other light than {name!r} (by {light:.0f}): not in the automatic choice",
                "use it alone, or film it in the light of the others",
            )
        )  # fmt: skip
    return found
