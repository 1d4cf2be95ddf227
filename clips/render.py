"""Cuts to frames to mp4, streaming: network and blend run beside each other, memory stays constant."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from blending import BlendSettings, seam_score
from clips.audio import SAMPLE_RATE
from clips.errors import ClipError
from clips.timeline import FPS, FrameRange
from clips.video import VideoWriter

if TYPE_CHECKING:
    from clips.core_clips_processor import CoreClipsProcessor, Performance, Shot

QUEUE_FRAMES = 4
SCORE_EVERY = 5
"""The seam score is measured on every fifth driven frame."""


class RenderCancelled(Exception):
    """The render was stopped on request; nothing is left under the output's name."""


@dataclass(frozen=True)
class RenderReport:
    """What a render made.

    seam_mean, seam_worst: seam score over every fifth driven frame, None where nothing was driven;
    worst_frame: where, counted from the start of the sound. blended_frames: how many of the frames the network drew.
    """

    path: Path
    frames: int
    blended_frames: int
    seconds: float
    seam_mean: float | None
    seam_worst: float | None
    worst_frame: int | None
    notes: tuple[str, ...]

    @property
    def frames_per_second(self) -> float:
        return self.frames / max(self.seconds, 1e-9)


def render(
    processor: CoreClipsProcessor,
    performance: Performance,
    output: Path,
    settings: BlendSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
    unblended: Path | None = None,
    cancel: threading.Event | None = None,
    frames: FrameRange | None = None,
) -> RenderReport:
    """Encode every frame of the performance once, with its sound; optionally the unblended video too.

    frames: only these, with their part of the sound; the same pictures as in the whole. ValueError outside of it.
    progress(done, total) is called after each frame. When `cancel` is set, RenderCancelled follows
    within a frame. On any error nothing appears under `output`. Two outputs of one name and outputs
    without .mp4 are a ClipError.
    """
    check_outputs(output, unblended)
    frames = check_range(frames, performance.frames)
    sound = sound_of(performance, frames)
    started = time.monotonic()
    scores: list[tuple[float, int]] = []
    blended_frames = 0
    height, width = processor.shot(performance, frames.start).plate.shape[:2]
    with ExitStack() as stack:
        metadata = _metadata(processor, performance, settings, frames)
        writer = stack.enter_context(VideoWriter(output, width, height, sound=sound, metadata=metadata))
        plain = None
        if unblended is not None:
            plain = stack.enter_context(VideoWriter(unblended, width, height, sound=sound))
        for index, shot in zip(frames, _shots_ahead(processor, performance, frames, stack), strict=True):
            if cancel is not None and cancel.is_set():
                raise RenderCancelled(f"stopped at frame {index - frames.start} of {len(frames)}")
            result = processor.blend_shot(shot, settings)
            writer.write(result.frame)
            if plain is not None:
                plain.write(shot.unblended)
            if shot.generated is not None:
                if blended_frames % SCORE_EVERY == 0:
                    seam = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks)
                    scores.append((seam.score, index))
                blended_frames += 1
            if progress is not None:
                progress(index + 1 - frames.start, len(frames))
    worst = max(scores, default=None)
    return RenderReport(
        output, len(frames), blended_frames, time.monotonic() - started,
        sum(score for score, _ in scores) / len(scores) if scores else None,
        worst[0] if worst else None, worst[1] if worst else None, performance.notes,
    )  # fmt: skip


def check_range(frames: FrameRange | None, total: int) -> FrameRange:
    """The frames to render, all of them when None is given; ValueError unless they are some of 0 .. total - 1."""
    frames = FrameRange(0, total) if frames is None else frames
    if not 0 <= frames.start < frames.stop <= total:
        raise ValueError(
            f"frames must be a part of 0 .. {total - 1} with start before stop; got {frames.start} .. {frames.stop}"
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
        if path.suffix.lower() != ".mp4":
            raise ClipError(f"the output must be named .mp4; got {path.name!r}")
        if not path.parent.is_dir():
            raise ClipError(f"the output's folder {path.parent} does not exist; create it first")
        if not os.access(path.parent, os.W_OK):
            raise ClipError(f"nothing may be written into the output's folder {path.parent}; choose another one")
        if path.is_dir():
            raise ClipError(f"the output {path} is a folder; give a file name ending in .mp4")
        if path.resolve() in [one.resolve() for one in keep]:
            raise ClipError(f"the output would overwrite the sound {path.name}; give another name")
    if unblended is not None and output.resolve() == unblended.resolve():
        raise ClipError("the blended and the unblended video need two names; got one for both")


def _metadata(
    processor: CoreClipsProcessor, performance: Performance, settings: BlendSettings, frames: FrameRange
) -> dict[str, str]:
    recipe: dict[str, object] = {
        "model": processor.model_name,
        "base": performance.base,
        "settings": settings.model_dump(),
    }
    if len(frames) < performance.frames:
        recipe["frames"] = [frames.start, frames.stop]
    return {"comment": "AI-generated", "seamline": json.dumps(recipe)}


def _shots_ahead(
    processor: CoreClipsProcessor, performance: Performance, frames: FrameRange, stack: ExitStack
) -> Iterator[Shot]:
    """Shots in order, made by a thread of their own that stays at most QUEUE_FRAMES ahead."""
    ready: queue.Queue[Shot | BaseException | None] = queue.Queue(QUEUE_FRAMES)
    stop = threading.Event()

    def put(item: Shot | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for index in frames:
                if stop.is_set():
                    return
                put(processor.shot(performance, index))
            put(None)
        except BaseException as e:
            put(e)

    worker = threading.Thread(target=work, name="shots", daemon=True)

    def end() -> None:
        stop.set()
        worker.join()

    stack.callback(end)
    worker.start()
    while (item := ready.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item
