"""python -m clips.benchmark: what a rendered frame costs, against the documented pipeline in the same run.

Records; never gates anything on time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from blending import BlendSettings, seam_score
from blending.benchmark import documented_pipeline
from clips.core_clips_processor import CoreClipsProcessor, Shot
from clips.library import SAMPLE_SPEECH, default_workspace, workspace_folder


def documented(shot: Shot) -> object:
    """The recipe this product replaces, over the whole frame."""
    assert shot.generated is not None
    return documented_pipeline(shot.plate, shot.generated, shot.box, shot.landmarks)


def _median_ms(work: Callable[[Shot], object], shots: Sequence[Shot]) -> float:
    spent = []
    for shot in shots:
        started = time.perf_counter()
        work(shot)
        spent.append(1000 * (time.perf_counter() - started))
    return statistics.median(spent)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m clips.benchmark", description=__doc__)
    parser.add_argument("--model", default="LS1")
    parser.add_argument("--clip", default="05,20s talk evening")
    parser.add_argument("--audio", type=Path, default=SAMPLE_SPEECH)
    parser.add_argument("--workspace", type=workspace_folder, default=default_workspace())
    args = parser.parse_args(argv)
    processor = CoreClipsProcessor(args.model, workspace=args.workspace)
    performance = processor.prepare(args.audio, args.clip)
    count = min(performance.frames, 40)
    started = time.perf_counter()
    shots = [processor.shot(performance, i) for i in range(count)]
    draw_ms = 1000 * (time.perf_counter() - started) / count
    settings = BlendSettings()
    rows = [
        ("decode and network", draw_ms),
        ("blend, defaults", _median_ms(lambda s: processor.blend_shot(s, settings), shots)),
        ("documented pipeline", _median_ms(documented, shots[:10])),
        ("blend and seam score", _median_ms(_score(processor, settings), shots)),
    ]
    height, width = shots[0].plate.shape[:2]
    print(f"{args.model}, {args.clip}, {width} x {height}, square {shots[0].box.side} px; ms per frame, median")
    for name, ms in rows:
        print(f"  {name:22} {ms:8.1f}")
    print(f"  documented / blend     {rows[2][1] / rows[1][1]:8.1f} x")
    with tempfile.TemporaryDirectory() as folder:
        report = processor.generate_video(performance, Path(folder) / "out.mp4")
    print(f"  render, sound to mp4   {report.frames_per_second:8.1f} frames per second")
    return 0


def _score(processor: CoreClipsProcessor, settings: BlendSettings) -> Callable[[Shot], object]:
    def score(shot: Shot) -> object:
        result = processor.blend_shot(shot, settings)
        return seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks)

    return score


if __name__ == "__main__":
    sys.exit(main())
