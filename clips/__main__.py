"""python -m clips render | recipe | batch: speech in, blended video out."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from blending import BlendSettings
from clips.again import Wish, find_sound, prepare_again
from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor, Performance
from clips.errors import ClipError
from clips.library import default_workspace, workspace_folder
from clips.pipeline import cancellable, stop_when
from clips.presets import change_settings, load_preset
from clips.quality import QUALITIES, STANDARD
from clips.recipe import Recipe, read_recipe, settings_of
from clips.render import Progress, RenderReport, check_outputs
from clips.vad import VAD_METHODS


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clips", description="Core clips at the command line.")
    commands = parser.add_subparsers(dest="command", required=True)
    _render_arguments(
        commands.add_parser("render", help="drive a model's core clips with a sound and blend the face back in")
    )
    recipe = commands.add_parser("recipe", help="print what a rendered video was made from, as YAML")
    recipe.add_argument("video", type=Path, help="a video that `render` wrote")
    batch = commands.add_parser("batch", help="render a list of jobs; what is finished is skipped")
    batch.add_argument("jobs", type=Path, metavar="JOBS.yaml", help="`defaults` and `jobs`, see the README")
    _machine_arguments(batch)
    return parser


def _render_arguments(render: argparse.ArgumentParser) -> None:
    render.add_argument("--model", help="name of the model (default LS1)")
    render.add_argument("--audio", type=Path, help="any audio file, or a video with sound")
    render.add_argument("--output", type=Path, required=True, help="the video to write, .mp4")
    render.add_argument(
        "--like", type=Path, metavar="VIDEO", help="by the recipe of a rendered video; other flags change it"
    )
    render.add_argument("--clip", metavar="NAME", help="use this one clip as the base (default: automatic)")
    render.add_argument("--preset", help="named settings (default, classic, or your own)")
    render.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="change one setting; may be repeated",
    )
    render.add_argument(
        "--quality",
        choices=list(QUALITIES),
        help="; ".join(f"{name}: {quality.help}" for name, quality in QUALITIES.items()) + f" (default {STANDARD})",
    )
    render.add_argument("--unblended", type=Path, metavar="FILE", help="write the unblended video too")
    render.add_argument("--vad", choices=sorted(VAD_METHODS), help="how speech is found (default silero)")
    _machine_arguments(render)


def _machine_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--workspace",
        type=workspace_folder,
        default=default_workspace(),
        help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)",
    )
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    command.add_argument(
        "--runtime", default="auto", help="what runs the network: auto, torch or openvino (default auto)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit code: 0 fine, 1 jobs of a batch failed, 2 something cannot be used, 130 Ctrl-C."""
    args = build_parser().parse_args(argv)
    try:
        if args.command == "recipe":
            print(recipe_yaml(read_recipe(args.video)), end="")
            return 0
        if args.command == "batch":
            return batch_command(args)
        like = None if args.like is None else read_recipe(args.like)
        if like is None and args.audio is None:
            raise ClipError("render needs a sound; give it with --audio")
        settings = like_settings(args, like)
    except (ClipError, ValueError) as e:
        return say_error(e)
    except KeyboardInterrupt:
        return stopped()
    try:
        from models import ModelError  # takes seconds: a mistyped setting is answered before
    except KeyboardInterrupt:
        return stopped()
    try:
        return render_command(args, settings, like)
    except (ClipError, ModelError, ValueError) as e:
        return say_error(e)
    except KeyboardInterrupt:
        return stopped()


def like_settings(args: argparse.Namespace, like: Recipe | None) -> BlendSettings:
    """Settings by flags, over those of the recipe where there is one."""
    base = settings_of(like) if like is not None and args.preset is None else None
    return change_settings(base or load_preset(args.preset or "default", args.workspace), args.changes)


class _RecipeDumper(yaml.SafeDumper):
    """A cut on one line."""

    def represent_list(self, data: list[object]) -> yaml.Node:
        numbers = all(isinstance(item, int) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=numbers)


_RecipeDumper.add_representer(list, _RecipeDumper.represent_list)


def recipe_yaml(recipe: Recipe) -> str:
    """A recipe to be read."""
    return str(yaml.dump(recipe.model_dump(), Dumper=_RecipeDumper, sort_keys=False, allow_unicode=True, width=120))


def stopped() -> int:
    print("\nstopped; nothing was written", file=sys.stderr)
    return 130


def say_error(error: Exception) -> int:
    """Print what went wrong on one line of stderr; 2, the exit code."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def render_command(args: argparse.Namespace, settings: BlendSettings, like: Recipe | None) -> int:
    started = time.monotonic()
    check_outputs(args.output, args.unblended, keep=[p for p in (args.audio, args.like) if p is not None])
    audio = args.audio if like is None or args.audio is not None else find_sound(like, args.like)
    quality = args.quality or (like.quality if like else STANDARD)

    def prepared() -> tuple[CoreClipsProcessor, Performance]:
        processor = CoreClipsProcessor(
            args.model or (like.model.name if like else "LS1"), workspace=args.workspace, settings=settings,
            vad_method=args.vad or (like.vad if like else "silero"), device=args.device,
            runtime=like.model.runtime if like and args.runtime == "auto" and args.device == "auto" else args.runtime,
        )  # fmt: skip
        if like is None:
            return processor, processor.prepare(audio, args.clip or AUTOMATIC)
        wish = Wish(args.model, args.clip, args.vad)
        return processor, prepare_again(processor, like, settings, quality, audio, args.like, wish)

    processor, performance = cancellable(prepared, stop_when(None))  # Ctrl-C does not wait for a network to be loaded
    prepared_s = time.monotonic() - started
    report = processor.generate_video(
        performance, args.output, quality=quality, progress=progress_bar(), unblended=args.unblended
    )
    print(f"network: {processor.model.runtime.about}")
    for note in report.notes:
        print(f"note: {note}")
    print(f"wrote {report.path}: {said_of(report)}; first frame after {prepared_s + report.first_frame_s:.1f} s")
    return 0


def said_of(report: RenderReport) -> str:
    """Frames, rate and seam score of a render."""
    said = f"{report.frames} frames, {report.frames_per_second:.1f} frames per second"
    if report.seam_mean is None:
        return said
    return f"{said}, seam score {report.seam_mean:.2f} (worst {report.seam_worst:.2f} at frame {report.worst_frame})"


def batch_command(args: argparse.Namespace) -> int:
    """Every job that is not done yet, and a table."""
    from clips.batch import load_jobs, run_jobs, summary

    jobs = load_jobs(args.jobs, args.workspace)
    results = []
    try:
        for result in run_jobs(
            jobs, args.workspace, device=args.device, runtime=args.runtime, progress=lambda _: progress_bar()
        ):
            results.append(result)
            print(result.line, flush=True)
    except KeyboardInterrupt:
        print("\nstopped; finished jobs are kept, run the same command to go on", file=sys.stderr)
        return 130
    print(summary(results))
    return 1 if any(result.state == "failed" for result in results) else 0


def progress_bar() -> Callable[[Progress], None]:
    """A bar on stderr: done, rate since the first frame, time left. Redrawn at most five times a second on a terminal,
    else once, at the end."""
    shown = 0.0

    def show(progress: Progress) -> None:
        nonlocal shown
        done, total, now = progress.done, progress.total, time.monotonic()
        if done < total and (done == 1 or now - shown < 0.2 or not sys.stderr.isatty()):
            return
        shown = now
        rate, left_s = progress.frames_per_second, progress.seconds_left if done < total else 0
        line = f"\r[{'#' * (30 * done // total):30}] {done}/{total} frames  {rate:.1f} fps  {left_s:.0f} s left "
        print(line, end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    if code == 130:
        os._exit(code)  # a network that is still being loaded must not be torn down under its thread
    sys.exit(code)
