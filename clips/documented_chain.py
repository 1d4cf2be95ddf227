"""The documented way from sound to video, rebuilt to measure against: plates as JPEG files, the network in eager mode
frame by frame, hard paste, an mp4v file, and x264 `slow` over that with the sound (specs of SyncTalk_2D)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from blending import CropBox
from clips.audio import save_wav
from clips.errors import ClipError
from clips.ffmpeg import error_tail, ffmpeg_exe, input_url
from clips.timeline import FPS

if TYPE_CHECKING:
    from clips.core_clips_processor import CoreClipsProcessor, Performance
    from models.benchmark import EagerModel

JPEG_QUALITY = 95


def extract_plates(processor: CoreClipsProcessor, performance: Performance, folder: Path) -> Callable[[str, int], Path]:
    """Write every frame of the clips that are shown as a JPEG file, as preprocessing does once; gives their paths."""
    names = sorted({cut.clip for cut in performance.edits.cuts})
    for number, name in enumerate(names):
        (folder / str(number)).mkdir()
        for index, frame in enumerate(processor.frames_of(name)):
            cv2.imwrite(str(folder / str(number) / f"{index}.jpg"), frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return lambda name, index: folder / str(names.index(name)) / f"{index}.jpg"


def documented_chain(
    model: EagerModel,
    processor: CoreClipsProcessor,
    performance: Performance,
    wav: NDArray[np.float32],
    plate_path: Callable[[str, int], Path],
    output: Path,
) -> None:
    """Sound to mp4 over the cuts of `performance`. ClipError when ffmpeg fails."""
    features = model.features(wav)
    silent, sound = output.with_name("silent.mp4"), output.with_name("sound.wav")
    writer = None
    for index in range(performance.frames):
        cut = performance.edits.at(index)
        number = cut.clip_frame(index)
        plate = np.asarray(cv2.imread(str(plate_path(cut.clip, number))), np.uint8)
        if writer is None:
            size = (plate.shape[1], plate.shape[0])
            writer = cv2.VideoWriter(str(silent), cv2.VideoWriter.fourcc(*"mp4v"), float(FPS), size)
        if cut.driven:
            box = CropBox.from_landmarks(processor.landmarks_of(cut.clip)[0].at(number))
            plate = box.paste(plate, model.generate(plate, box, features, index))
        writer.write(plate)
    assert writer is not None
    writer.release()
    save_wav(sound, wav)
    done = subprocess.run(
        [
            ffmpeg_exe(), "-v", "error", "-y", "-nostdin", "-i", input_url(silent), "-i", input_url(sound),
            "-c:v", "libx264", "-preset", "slow", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", str(output),
        ],
        capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    if done.returncode != 0:
        raise ClipError(f"the documented chain's ffmpeg failed ({error_tail(done.stderr)}); check the disk")
