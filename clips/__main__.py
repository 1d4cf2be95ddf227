"""python -m clips render: speech in, blended video out."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from blending import BlendSettings
from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor
from clips.errors import ClipError
from clips.handoff import add_command as add_handoff
from clips.library import default_workspace, workspace_folder
from clips.presets import change_settings, load_preset
from clips.training_light import add_command as add_training_light
from clips.vad import VAD_METHODS


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clips", description="Core clips at the command line.")
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser("render", help="drive a model's core clips with a sound and blend the face back in")
    render.add_argument("--model", default="LS1", help="name of the model (default LS1)")
    render.add_argument("--audio", type=Path, required=True, help="any audio file, or a video with sound")
    render.add_argument("--output", type=Path, required=True, help="the video to write, .mp4")
    render.add_argument(
        "--clip", default=AUTOMATIC, metavar="NAME", help="use this one clip as the base (default: automatic)"
    )
    render.add_argument("--preset", default="default", help="named settings (default, classic, or your own)")
    render.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="change one setting; may be repeated",
    )
    render.add_argument("--unblended", type=Path, metavar="FILE", help="write the unblended video too")
    render.add_argument(
        "--vad", choices=sorted(VAD_METHODS), default="silero", help="how speech is found (default silero)"
    )
    render.add_argument(
        "--workspace",
        type=workspace_folder,
        default=default_workspace(),
        help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)",
    )
    render.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    render.add_argument(
        "--runtime", default="auto", help="what runs the network: auto, torch or openvino (default auto)"
    )
    add_handoff(commands)
    add_training_light(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit code: 0 fine, 2 something cannot be used, 130 Ctrl-C."""
    args = build_parser().parse_args(argv)
    try:
        if "run" in args:  # a command that was registered from its own file
            return int(args.run(args))
        settings = change_settings(load_preset(args.preset, args.workspace), args.changes)
    except (ClipError, ValueError) as e:
        return say_error(e)
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    from models import ModelError  # takes seconds: a mistyped setting is answered before

    try:
        return render_command(args, settings)
    except (ClipError, ModelError, ValueError) as e:
        return say_error(e)
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130


def say_error(error: Exception) -> int:
    """Print what went wrong on one line of stderr; 2, the exit code."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def render_command(args: argparse.Namespace, settings: BlendSettings) -> int:
    processor = CoreClipsProcessor(
        args.model, workspace=args.workspace, settings=settings, vad_method=args.vad, device=args.device,
        runtime=args.runtime,
    )  # fmt: skip
    report = processor.generate_video(
        args.audio, args.output, progress=progress_bar(), base=args.clip, unblended=args.unblended
    )
    print(f"network: {processor.model.runtime.about}")
    for note in report.notes:
        print(f"note: {note}")
    seam = (
        ""
        if report.seam_mean is None
        else f", seam score {report.seam_mean:.2f} (worst {report.seam_worst:.2f} at frame {report.worst_frame})"
    )
    print(f"wrote {report.path}: {report.frames} frames, {report.frames_per_second:.1f} frames per second{seam}")
    return 0


def progress_bar() -> Callable[[int, int], None]:
    """A bar on stderr: done, rate since the first frame, time left. Redrawn at most five times a second on a terminal,
    else once, at the end."""
    first_at = shown = 0.0

    def show(done: int, total: int) -> None:
        nonlocal first_at, shown
        now = time.monotonic()
        if done == 1:
            first_at = now
        if done < total and (done == 1 or now - shown < 0.2 or not sys.stderr.isatty()):
            return
        shown = now
        rate = (done - 1) / max(now - first_at, 1e-9)
        left_s = (total - done) / max(rate, 1e-9)
        line = f"\r[{'#' * (30 * done // total):30}] {done}/{total} frames  {rate:.1f} fps  {left_s:.0f} s left "
        print(line, end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
