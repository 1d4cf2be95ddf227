"""python -m clips.benchmark: what a rendered frame and a finished video cost, against the documented ways in the same
run.

Records; never gates anything on time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from blending import BlendSettings, seam_score
from blending.benchmark import documented_pipeline
from clips.audio import load_audio
from clips.core_clips_processor import CoreClipsProcessor, Shot
from clips.documented_chain import documented_chain, extract_plates
from clips.library import SAMPLE_SPEECH, workspace_folder
from clips.quality import QUALITIES


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
    parser.add_argument("--workspace", type=workspace_folder, default="")
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
    print(sound_to_video(processor, args.audio, args.workspace))
    return 0


def sound_to_video(processor: CoreClipsProcessor, audio: Path, workspace: Path) -> str:
    """A table: sound to finished mp4 by the documented chain and by each quality, in turns, networks loaded."""
    from models.benchmark import EagerModel

    eager, ours = EagerModel.load(processor.model_name, workspace), processor.prepare(audio)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plate_path = extract_plates(processor, ours, folder)
        documented_mp4 = folder / "documented.mp4"
        chain = _spent(lambda: documented_chain(eager, processor, ours, load_audio(audio), plate_path, documented_mp4))
        rows.append(("documented chain", *chain, documented_mp4.stat().st_size))
        for quality in QUALITIES:
            output = folder / f"{quality}.mp4"
            spent = _spent(lambda q=quality, o=output: processor.generate_video(audio, o, quality=q))  # type: ignore[misc]
            rows.append((quality, *spent, output.stat().st_size))
    frames, driven = ours.frames, sum(ours.edits.at(i).driven for i in range(ours.frames))
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    lines = [
        f"sound to mp4, core clips, {frames} frames, {driven} of them drawn; load {load} on {os.cpu_count()} cores"
    ]
    lines.append(
        f"  {'':18} {'fps':>6} {'CPU ms':>7} {'fps at 2 cores':>15} {'x faster':>9} {'x less CPU':>11} {'MB':>6}"
    )
    for name, wall_s, cpu_s, size in rows:
        cpu_ms = 1000 * cpu_s / frames
        lines.append(
            f"  {name:18} {frames / wall_s:6.1f} {cpu_ms:7.1f} {2000 / cpu_ms:15.1f} {chain[0] / wall_s:9.1f} "
            f"{chain[1] / cpu_s:11.1f} {size / 1e6:6.2f}"
        )
    return "\n".join(lines)


def _spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU time, of this process and of the ffmpegs that ended."""

    def cpu() -> float:
        used = os.times()
        return used.user + used.system + used.children_user + used.children_system

    started, used = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - started, cpu() - used


def _score(processor: CoreClipsProcessor, settings: BlendSettings) -> Callable[[Shot], object]:
    def score(shot: Shot) -> object:
        result = processor.blend_shot(shot, settings)
        return seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks)

    return score


if __name__ == "__main__":
    sys.exit(main())
