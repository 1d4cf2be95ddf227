"""python -m clips render | recipe | batch: speech in, blended video out, and what it was made from."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from blending import BlendSettings
from clips.again import Wish, find_base_video, find_sound, name_in, prepare_again
from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor, Performance
from clips.edit_command import add_editing_flags, editing_from
from clips.edit_files import load_edits
from clips.errors import ClipError
from clips.handoff import frame_span
from clips.library import workspace_folder
from clips.pipeline import cancellable, stop_when
from clips.presets import change_settings, load_preset
from clips.quality import QUALITIES, STANDARD
from clips.read_ahead import read_ahead
from clips.recipe import Recipe, editing_of, read_recipe, settings_of
from clips.render import Progress, RenderReport, check_outputs
from clips.timeline import FrameRange, counted
from clips.waiting import waiting


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands `render`, `recipe` and `batch` with their flags."""
    render = commands.add_parser("render", help="drive a model's core clips with a sound and blend the face back in")
    _render_flags(render)
    render.set_defaults(run=render_command)
    recipe = commands.add_parser("recipe", help="print what a rendered video was made from, as YAML")
    recipe.add_argument("video", type=Path, help="a video that `render` wrote")
    recipe.set_defaults(run=recipe_command)
    batch = commands.add_parser("batch", help="render a list of jobs; what is finished is skipped")
    batch.add_argument("jobs", type=Path, metavar="JOBS.yaml", help="`defaults` and `jobs`, see the README")
    add_machine_flags(batch)
    batch.set_defaults(run=batch_command)


def _render_flags(render: argparse.ArgumentParser) -> None:
    render.add_argument("--model", help="name of the model (default LS1)")
    render.add_argument("--audio", type=Path, help="any audio file, or a video with sound")
    render.add_argument("--output", type=Path, required=True, help="the video to write, .mp4")
    render.add_argument(
        "--like", type=Path, metavar="VIDEO", help="by the recipe of a rendered video; other flags change it"
    )
    base = render.add_mutually_exclusive_group()
    base.add_argument("--clip", metavar="NAME", help="use this one clip as the base (default: automatic)")
    base.add_argument(
        "--base-video", type=Path, metavar="FILE", help="use a video of your own, or a folder of frames, as the base"
    )
    base.add_argument(
        "--best-clips", type=count, metavar="N", help="automatic: only the N talk clips with the best landmarks"
    )
    render.add_argument("--preset", help="named settings (default, classic, or your own)")
    render.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
        help="change one setting; may be repeated",
    )  # fmt: skip
    render.add_argument(
        "--quality",
        choices=list(QUALITIES),
        help="; ".join(f"{name}: {quality.help}" for name, quality in QUALITIES.items()) + f" (default {STANDARD})",
    )
    render.add_argument("--frames", type=frame_span, metavar="A-B", help="only output frames A to B, both included")
    render.add_argument("--unblended", type=Path, metavar="FILE", help="write the unblended video too")
    render.add_argument("--edits", type=Path, metavar="LIST.json", help="cut as this edit list says, see `edit`")
    add_editing_flags(render)
    add_machine_flags(render)


def add_machine_flags(command: argparse.ArgumentParser) -> None:
    """Where things lie and what runs the network."""
    command.add_argument(
        "--workspace",
        type=workspace_folder,
        default="",
        help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)",
    )
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    command.add_argument(
        "--runtime", default="auto", help="what runs the network: auto, torch or openvino (default auto)"
    )


def count(text: str) -> int:
    """For command lines: a whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1; got {text!r}")
    return int(text)


def render_command(args: argparse.Namespace) -> int:
    """Check what can be checked at once, then render."""
    started = time.monotonic()
    for flag in ("model", "clip", "preset"):
        if getattr(args, flag) == "":  # a variable of the shell that holds nothing
            raise ClipError(f"--{flag} needs a name; got an empty one; leave it out for the default")
    like = None if args.like is None else read_recipe(args.like)
    if like is None and args.audio is None:
        raise ClipError("render needs a sound; give it with --audio")
    settings = like_settings(args, like)
    editing = editing_from(args, editing_of(like) if like else None)
    edits = load_edits(args.edits) if args.edits else None
    audio = args.audio if like is None or args.audio is not None else find_sound(like, args.like)
    check_outputs(args.output, args.unblended, keep=[p for p in (audio, args.like, args.base_video) if p is not None])
    quality = args.quality or (like.quality if like else STANDARD)

    model = args.model or (like.model.name if like else "LS1")
    base = "" if args.base_video else args.clip or (like.base if like else AUTOMATIC)

    def prepared() -> tuple[CoreClipsProcessor, Performance]:
        with waiting(f"loading the model {model}"):
            looked_through = read_ahead(args.workspace, model, base)
            processor = CoreClipsProcessor(
                model, workspace=args.workspace, settings=settings, editing=editing, best_clips=args.best_clips,
                device=args.device,
                runtime=like.model.runtime if like and args.runtime == args.device == "auto" else args.runtime,
            )  # fmt: skip
            looked_through.join()
        chosen, video = args.clip, args.base_video
        if like is not None and edits is None and chosen is video is args.best_clips is None:
            video = find_base_video(processor, like, args.like)
            check_outputs(args.output, args.unblended, keep=[video] if video else [])
        if video is not None:
            chosen = processor.add_own_video(
                video, called=name_in(like, video) if like else None, progress=frames_bar("finding the face: ")
            )
        with waiting(f"listening to {audio.name}, choosing clips"):
            if like is None or edits is not None:
                return processor, processor.prepare(audio, chosen or base, edits=edits)
            wish = Wish(args.model, chosen or (AUTOMATIC if args.best_clips else None))
            return processor, prepare_again(processor, like, settings, quality, audio, args.like, wish)

    processor, performance = cancellable(prepared, stop_when(None))  # Ctrl-C does not wait for a network to be loaded
    prepared_s = time.monotonic() - started
    report = processor.generate_video(
        performance, args.output, quality=quality, progress=progress_bar(), unblended=args.unblended,
        frames=args.frames or (part_of(like) if like else None),
    )  # fmt: skip
    print(f"network: {processor.model.runtime.about}")
    for note in report.notes:
        print(f"note: {note}")
    print(f"wrote {report.path}: {said_of(report)}; first frame after {prepared_s + report.first_frame_s:.1f} s")
    return 0


def part_of(recipe: Recipe) -> FrameRange | None:
    return None if recipe.part is None else FrameRange(*recipe.part)


def like_settings(args: argparse.Namespace, like: Recipe | None) -> BlendSettings:
    """Settings by flags, over those of the recipe where there is one."""
    base = settings_of(like) if like is not None and args.preset is None else None
    return change_settings(base or load_preset(args.preset or "default", args.workspace), args.changes)


def said_of(report: RenderReport) -> str:
    """Frames, rate and seam scores of a render."""
    said = f"{counted(report.frames, 'frame')}, {report.frames_per_second:.1f} frames per second"
    return f"{said}, {report.seam_words}" if report.seam_words else said


class _RecipeDumper(yaml.SafeDumper):
    """A cut on one line."""

    def represent_list(self, data: list[object]) -> yaml.Node:
        numbers = all(isinstance(item, int) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=numbers)


_RecipeDumper.add_representer(list, _RecipeDumper.represent_list)


def recipe_yaml(recipe: Recipe) -> str:
    """A recipe to be read."""
    return str(yaml.dump(recipe.model_dump(), Dumper=_RecipeDumper, sort_keys=False, allow_unicode=True, width=120))


def recipe_command(args: argparse.Namespace) -> int:
    print(recipe_yaml(read_recipe(args.video)), end="")
    return 0


def batch_command(args: argparse.Namespace) -> int:
    """Every job that is not done yet, and what came of them; 1 where a job failed."""
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
        if results:
            print(summary(results))
        print("\nstopped; finished jobs are kept, run the same command to go on", file=sys.stderr)
        return 130
    print(summary(results))
    return 1 if any(result.state == "failed" for result in results) else 0


def progress_bar(label: str = "") -> Callable[[Progress], None]:
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
        bar = f"[{'#' * (30 * done // total):30}]"
        line = f"\r{label}{bar} {done}/{total} frames  {rate:.1f} fps  {left_s:.0f} s left "
        print(line, end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


def frames_bar(label: str = "") -> Callable[[int, int], None]:
    """`progress_bar` for work that counts frames."""
    show, first_at = progress_bar(label), 0.0

    def count_frames(done: int, total: int) -> None:
        nonlocal first_at
        now = time.monotonic()
        if done <= 1:
            first_at = now
        seconds = now - first_at
        show(Progress(done, total, seconds, (done - 1) / max(seconds, 1e-9)))

    return count_frames
