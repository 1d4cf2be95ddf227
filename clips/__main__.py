"""python -m clips: render speech to a blended video, describe clips."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from blending import BlendSettings
from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor
from clips.describe import describe_model
from clips.errors import ClipError
from clips.library import ClipLibrary, default_workspace, workspace_folder
from clips.presets import change_settings, load_preset
from clips.render import check_outputs
from clips.vad import VAD_METHODS


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clips", description="Core clips at the command line.")
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser("render", help="drive a model's core clips with a sound and blend the face back in")
    render.add_argument("--model", default="LS1", help="name of the model (default LS1)")
    render.add_argument("--audio", type=Path, required=True, help="any audio file, or a video with sound")
    render.add_argument("--output", type=Path, required=True, help="the video to write, .mp4")
    base = render.add_mutually_exclusive_group()
    base.add_argument(
        "--clip", default=AUTOMATIC, metavar="NAME", help="use this one clip as the base (default: automatic)"
    )
    base.add_argument(
        "--base-video", type=Path, metavar="FILE",
        help="use your own video as the base, there and back; its face is found once and remembered",
    )  # fmt: skip
    base.add_argument(
        "--best-clips", type=count, metavar="N",
        help="drive only the N talk clips with the best landmarks: fewest frames without a face, then least jitter",
    )  # fmt: skip
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
    render.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    render.add_argument(
        "--runtime", default="auto", help="what runs the network: auto, torch or openvino (default auto)"
    )
    describe = commands.add_parser("describe", help="say of each clip what it is, whether it is ready and what is odd")
    describe.add_argument("--model", help="only this model (default: all)")
    for command in (render, describe):
        command.add_argument(
            "--workspace",
            type=workspace_folder,
            default=default_workspace(),
            help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)",
        )
    return parser


def count(text: str) -> int:
    """For command lines: a whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1; got {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit code: 0 fine, 2 something cannot be used, 130 Ctrl-C."""
    args = build_parser().parse_args(argv)
    if args.command == "describe":
        return describe_command(args)
    try:
        settings = change_settings(load_preset(args.preset, args.workspace), args.changes)
    except (ClipError, ValueError) as e:
        return say_error(e)
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


def describe_command(args: argparse.Namespace) -> int:
    """Print the clips of one model or of all; a model that cannot be described does not stop the others."""
    library = ClipLibrary(args.workspace)
    failed = 0
    for model in [args.model] if args.model else library.models():
        try:
            lines = describe_model(library, model)
        except ClipError as e:
            failed = say_error(e)
        else:
            print("\n  ".join([model, *lines]))
    return failed


def render_command(args: argparse.Namespace, settings: BlendSettings) -> int:
    processor = CoreClipsProcessor(
        args.model, workspace=args.workspace, settings=settings, vad_method=args.vad,
        best_clips=args.best_clips, device=args.device, runtime=args.runtime,
    )  # fmt: skip
    base = args.clip
    if args.base_video is not None:
        check_outputs(args.output, args.unblended, keep=[args.audio, args.base_video])
        base = processor.add_own_video(args.base_video, progress=progress_bar("finding the face: "))
    report = processor.generate_video(
        args.audio, args.output, progress=progress_bar(), base=base, unblended=args.unblended
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


def progress_bar(label: str = "") -> Callable[[int, int], None]:
    """A bar on stderr: label, done, rate since the first frame, time left. Redrawn at most five times a second on a
    terminal, else once, at the end."""
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
        line = f"\r{label}[{'#' * (30 * done // total):30}] {done}/{total} frames  {rate:.1f} fps  {left_s:.0f} s left "
        print(line, end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
