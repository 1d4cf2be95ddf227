"""A model without a network, on small clips: what renders are killed, measured and repeated with.

As a program, in a process of its own that never imports torch:
    toy.py render WORKSPACE SECONDS OUTPUT      renders, prints the frames and the process's peak memory in kB
    toy.py kills WORKSPACE OUTPUT TIMES SEED    renders and kills the renderer at random points, prints what was left
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
import types
from pathlib import Path

import cv2
import numpy as np

from blending import BlendSettings
from blending.types import CropBox, Frame
from clips.audio import SAMPLE_RATE, load_audio
from clips.landmarks import ClipLandmarks
from clips.library import BUNDLED, SAMPLE_SPEECH, ClipLibrary
from clips.video import VideoWriter, probe, read_frames

MODEL = "toy"


class ToyModel:
    """Draws the plate's own crop, its lower half brighter with the sound's loudness."""

    def __init__(self, size: int = 312, weights: str = "0") -> None:
        self.name, self.mode, self.size = MODEL, "ave", size
        self.sha256 = {"unet": weights * 64}
        self.runtime = types.SimpleNamespace(name="openvino", about="a toy")

    def features(self, wav: np.ndarray, path: Path | None = None) -> np.ndarray:
        steps = np.array_split(np.abs(wav), max(1, len(wav) // 640))
        return np.array([[step.mean() if len(step) else 0] for step in steps], np.float32)

    def generate(self, plate: Frame, box: CropBox, features: np.ndarray, index: int) -> Frame:
        side = self.size + 8
        crop = cv2.resize(box.extract(plate), (side, side), interpolation=cv2.INTER_LINEAR)
        add = min(60, int(300 * float(features[min(index, len(features) - 1), 0])))
        crop[side // 2 :] = cv2.add(crop[side // 2 :], (add, add, add, 0))
        return crop


def make_workspace(root: Path, side: int = 320) -> Path:
    """A workspace with the clips of LS1 in the silence clip's light, `side` px wide, as those of the model "toy"."""
    folder = root / "core_clips" / MODEL
    folder.mkdir(parents=True)
    for name in ("silence", "02,08s talk", "04,16s talk"):
        source = BUNDLED / "LS1" / f"{name}.mp4"
        with VideoWriter(folder / source.name, side, side, preset="ultrafast") as writer:
            for frame in read_frames(source):
                writer.write(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA))
        marks = ClipLandmarks.load(source.with_name(f"{name}.landmarks.npz"))
        clip = ClipLibrary(root).clip(MODEL, name)
        clip.landmarks_path.parent.mkdir(parents=True, exist_ok=True)
        ClipLandmarks(
            marks.points * (side / 640), marks.found, marks.confidence, (side, side), clip.sha256, marks.detector,
            marks.appearance,
        ).save(clip.landmarks_path)  # fmt: skip
    return root


def without_networks(size: int = 312) -> None:
    """Put the toy in the place of the network's package, which takes seconds and 200 MB to import."""
    models, door = types.ModuleType("models"), types.ModuleType("models.lip_sync")
    models.ModelError = type("ModelError", (Exception,), {})  # type: ignore[attr-defined]
    door.LipSyncModel = types.SimpleNamespace(load=lambda *_, **__: ToyModel(size))  # type: ignore[attr-defined]
    sys.modules |= {"models": models, "models.lip_sync": door}


QUICK = BlendSettings(compositor="hard", colour="none", registration="off", texture=0, adapt="off")


def render(workspace: Path, samples: np.ndarray, output: Path, vad: str = "silero") -> int:
    from clips.core_clips_processor import CoreClipsProcessor

    processor = CoreClipsProcessor(MODEL, workspace=workspace, vad_method=vad)
    return processor.generate_video(samples, output, QUICK, quality="draft").frames


def speech(seconds: float) -> np.ndarray:
    """The sample over and over."""
    return np.resize(load_audio(SAMPLE_SPEECH), round(seconds * SAMPLE_RATE))


def running_ffmpegs(folder: Path) -> int:
    """ffmpeg processes that have a file of the folder on their command line."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            count += b"ffmpeg" in words.split(b"\0")[0] and os.fsencode(folder) in words
    return count


def kills(workspace: Path, output: Path, times: int, seed: int) -> dict[str, object]:
    """Kill a renderer `times` times, each at a random point of its run; what was found afterwards."""
    import clips.core_clips_processor
    import clips.render  # noqa: F401  what is imported once is not imported again by each child

    chance, sound = random.Random(seed), speech(0.8)

    def start() -> int:
        child = os.fork()
        if child == 0:
            render(workspace, sound, output, vad="energy")
            os._exit(0)
        return child

    for _ in range(2):  # the first one fills caches
        started = time.monotonic()
        os.waitpid(start(), 0)
        whole_s = time.monotonic() - started
    frames = probe(output).frames
    output.unlink()
    found: dict[str, object] = {"frames": frames, "scratch": 0, "finished": 0, "broken": 0, "orphans": 0}
    for _ in range(times):
        child = start()
        time.sleep(chance.uniform(0.02, whole_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if output.exists():
            found["finished"] += 1  # type: ignore[operator]
            found["broken"] += probe(output).frames != frames  # type: ignore[operator]
            output.unlink()
        found["scratch"] += any(output.parent.glob(".seamline-*"))  # type: ignore[operator]
        deadline = time.monotonic() + 10
        while running_ffmpegs(output.parent) and time.monotonic() < deadline:
            time.sleep(0.02)
        found["orphans"] += running_ffmpegs(output.parent)  # type: ignore[operator]
    os.waitpid(start(), 0)
    found["left"] = sorted(path.name for path in output.parent.iterdir())
    return found


if __name__ == "__main__":
    command, workspace = sys.argv[1], Path(sys.argv[2])
    if command == "render":
        without_networks()
        made = render(workspace, speech(float(sys.argv[3])), Path(sys.argv[4]))
        print(json.dumps({"frames": made, "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
    elif command == "kills":
        without_networks(size=64)
        print(json.dumps(kills(workspace, Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))))
