"""Cuts to frames to mp4, streaming: decoder and network, blend, and one encoder beside each other; memory stays
constant."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from blending import BlendResult, BlendSettings, seam_score
from clips.audio import SAMPLE_RATE
from clips.errors import ClipError
from clips.pipeline import RenderCancelled, Stages, cancellable, stop_when
from clips.quality import STANDARD, quality_named
from clips.recipe import AI_GENERATED, SEAM_PLACEHOLDER, Seam, recipe_of, recipe_tags, seam_text
from clips.scratch import sweep
from clips.timeline import FPS, FrameRange
from clips.video import VideoWriter

if TYPE_CHECKING:
    from clips.core_clips_processor import CoreClipsProcessor, Performance, Shot

__all__ = ["Progress", "RenderCancelled", "RenderReport", "check_outputs", "render"]

SCORE_EVERY = 5
"""The seam score is measured on every fifth driven frame."""


@dataclass(frozen=True)
class Progress:
    """Where a render stands: frames done of total, seconds since it began, rate since its first frame."""

    done: int
    total: int
    seconds: float
    frames_per_second: float = 0.0

    @property
    def seconds_left(self) -> float:
        return (self.total - self.done) / max(self.frames_per_second, 1e-9)


@dataclass(frozen=True)
class RenderReport:
    """What a render made.

    seam_mean, seam_worst: seam score over every fifth driven frame, None where nothing was driven;
    worst_frame: where, counted from the start of the sound. blended_frames: how many of the frames the network drew.
    first_frame_s: seconds to the first.
    """

    path: Path
    frames: int
    blended_frames: int
    seconds: float
    seam_mean: float | None
    seam_worst: float | None
    worst_frame: int | None
    notes: tuple[str, ...]
    first_frame_s: float = 0.0

    @property
    def seam_words(self) -> str:
        """Mean seam score and the worst frame's, in words; "" where nothing was driven."""
        if self.seam_mean is None:
            return ""
        worst = f"worst frame's {self.seam_worst:.2f}, at frame {self.worst_frame}; every fifth frame was measured"
        return f"mean seam score {self.seam_mean:.2f} ({worst})"

    @property
    def frames_per_second(self) -> float:
        return self.frames / max(self.seconds, 1e-9)


def render(
    processor: CoreClipsProcessor,
    performance: Performance,
    output: Path,
    settings: BlendSettings,
    *,
    quality: str = STANDARD,
    progress: Callable[[Progress], None] | None = None,
    unblended: Path | None = None,
    cancel: threading.Event | None = None,
    frames: FrameRange | None = None,
) -> RenderReport:
    """Encode every frame of the performance once, with its sound and its recipe; optionally the unblended video too.

    frames: only these, with their part of the sound; the same pictures as in the whole. ValueError outside of it.
    progress is called after each frame. When `cancel` is set, RenderCancelled follows within a second. On any error
    nothing appears under `output`. Of two renders to one output at once both come out whole, and the last to finish
    stays. Scratch files of ended processes in the output's folder are removed first. ClipError: two outputs of one
    name, outputs without .mp4, an unknown quality, a disk that is full.
    """
    encoding = quality_named(quality)
    check_outputs(output, unblended)
    frames = check_range(frames, performance.frames)
    for folder in {path.parent for path in (output, unblended) if path is not None}:
        sweep(folder)
    started, first_at, blended_frames = time.monotonic(), 0.0, 0
    scores: list[tuple[float, int]] = []
    check, sound = stop_when(cancel), sound_of(performance, frames)
    recipe = cancellable(lambda: recipe_of(processor, performance, settings, quality, frames), check)
    width, height = processor.frames_of(performance.edits.at(0).clip).info.size_wh
    with ExitStack() as stack:

        def opened(path: Path, tags: dict[str, str]) -> VideoWriter:
            return stack.enter_context(
                VideoWriter(
                    path, width, height, sound=sound, crf=encoding.crf, preset=encoding.preset, metadata=tags,
                    check=check,
                )
            )  # fmt: skip

        # The blended one is opened first and so finished last: it is there only when all went well.
        writer = opened(output, recipe_tags(recipe))
        plain = None if unblended is None else opened(unblended, {"comment": AI_GENERATED})
        stages = stack.enter_context(Stages(check))
        shots = stages.ahead((processor.shot(performance, index) for index in frames), "shots")
        blends = stages.ahead(_blended(processor, shots, settings), "blend")
        for index, (shot, result) in zip(frames, blends, strict=True):
            check()
            first_at = first_at or time.monotonic()
            writer.write(result.frame)
            if plain is not None:
                plain.write(shot.unblended)
            if shot.generated is not None:
                if blended_frames % SCORE_EVERY == 0:
                    seam = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks)
                    scores.append((seam.score, index))
                blended_frames += 1
            if progress is not None:
                now, done = time.monotonic(), index + 1 - frames.start
                progress(Progress(done, len(frames), now - started, (done - 1) / max(now - first_at, 1e-9)))
        mean = sum(score for score, _ in scores) / len(scores) if scores else None
        worst, worst_frame = max(scores, default=(None, None))
        writer.fill(SEAM_PLACEHOLDER, seam_text(Seam(mean=mean, worst=worst, worst_frame=worst_frame)))
    return RenderReport(
        output, len(frames), blended_frames, time.monotonic() - started, mean, worst, worst_frame,
        performance.notes, first_at - started,
    )  # fmt: skip


def _blended(
    processor: CoreClipsProcessor, shots: Iterator[Shot], settings: BlendSettings
) -> Iterator[tuple[Shot, BlendResult]]:
    """Each shot with its blend, the frame composed."""
    for shot in shots:
        result = processor.blend_shot(shot, settings)
        _ = result.frame
        yield shot, result


def check_range(frames: FrameRange | None, total: int) -> FrameRange:
    """The frames to render, all of them when None is given; ValueError unless they are some of 0 .. total - 1."""
    frames = FrameRange(0, total) if frames is None else frames
    if not 0 <= frames.start < frames.stop <= total:
        raise ValueError(
            f"frames must be a part of 0 .. {total - 1} with start before stop; got {frames.start} .. {frames.stop - 1}"
        )
    return frames


def sound_of(performance: Performance, frames: FrameRange) -> NDArray[np.float32]:
    """The samples that belong to these frames; the last frame of the whole keeps what is left over."""
    edges = [-(-index * SAMPLE_RATE // FPS) for index in (frames.start, frames.stop)]
    return performance.wav[edges[0] : None if frames.stop == performance.frames else edges[1]]


def check_outputs(output: Path, unblended: Path | None, *, keep: Sequence[Path] = ()) -> None:
    """ClipError unless a render can be written under these names. keep: files that must not be overwritten."""
    for path in (output, unblended):
        if path is None:
            continue
        if "\0" in str(path):
            raise ClipError(f"the output's name must not hold a NUL character; got {path.name!r}")
        if len(os.fsencode(path.name)) > 255:
            raise ClipError(f"the output's name must have at most 255 bytes; got {len(os.fsencode(path.name))}")
        if path.suffix.lower() != ".mp4":
            raise ClipError(f"the output must be named .mp4; got {path.name!r}")
        if not os.path.isdir(path.parent):
            what = (
                "is a file; choose another place" if os.path.exists(path.parent) else "does not exist; create it first"
            )
            raise ClipError(f"the output's folder {path.parent} {what}")
        if not os.access(path.parent, os.W_OK):
            raise ClipError(f"nothing may be written into the output's folder {path.parent}; choose another one")
        if os.path.isdir(path):
            raise ClipError(f"the output {path} is a folder; give a file name ending in .mp4")
        if os.path.realpath(path) in map(os.path.realpath, keep):
            raise ClipError(f"the output would overwrite {path.name}, which is rendered from; give another name")
    if unblended is not None and os.path.realpath(output) == os.path.realpath(unblended):
        raise ClipError("the blended and the unblended video need two names; got one for both")
