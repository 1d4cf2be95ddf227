"""A video rendered once more by the recipe it carries: to the same frames where sound, model and clips are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from blending import BlendSettings
from clips.audio import load_audio
from clips.core_clips_processor import MAX_SOUND_S, CoreClipsProcessor, Performance
from clips.errors import ClipError
from clips.library import SAMPLE_SPEECH
from clips.own_video import content_sha256, find_own_video
from clips.recipe import Clip, Recipe, array_sha256, differences, editing_of, edits_of, file_sha256, recipe_of
from clips.timeline import counted


@dataclass(frozen=True)
class Wish:
    """What is asked for in another way than the recipe has it; None as it has it."""

    model: str | None = None
    base: str | None = None


def find_sound(recipe: Recipe, video: Path) -> Path:
    """The sound the video was made from: a file of that name and content beside the video, in the current folder, or
    the sample. ClipError when it is in none of them."""
    sound = recipe.sound
    name = sound.file
    if name is not None and sound.sha256 is not None and name == Path(name).name:
        for folder in (video.parent, Path.cwd(), SAMPLE_SPEECH.parent):
            path = folder / name
            if path.is_file() and file_sha256(path) == sound.sha256:
                return path
    what = f"{name!r}" if name is not None else "samples that came in no file"
    raise ClipError(
        f"{video.name} was made from {what}, which is neither beside it nor in the current folder with that content; "
        "name the sound with --audio"
    )


def find_base_video(processor: CoreClipsProcessor, recipe: Recipe, video: Path) -> Path | None:
    """The person's own video that the recipe's base is: where it was last used, beside the video or in the current
    folder, by content. None where the base is no such video. ClipError when it is in none of these places."""
    shown = base_of(recipe)
    if shown is None or shown.name in processor.known_clips():
        return None
    folders = (video.absolute().parent, Path.cwd())
    path = find_own_video(shown.name, shown.sha256, processor.workspace, folders)
    if path is None:
        raise ClipError(
            f"{video.name} was made from the video {shown.name!r} (sha256 {shown.sha256}), which is no clip of "
            f"{processor.model_name}, and neither where it was last used, nor beside {video.name}, nor in the current "
            "folder with that content; name it with --base-video, or choose a clip with --clip"
        )
    return path


def name_in(recipe: Recipe, path: Path) -> str | None:
    """The name that the recipe has for this video; None when its base is another content."""
    shown = base_of(recipe)
    return shown.name if shown is not None and content_sha256(path) == shown.sha256 else None


def base_of(recipe: Recipe) -> Clip | None:
    """The one clip that the recipe shows all along; None where it chose among core clips."""
    return next((clip for clip in recipe.clips if clip.name == recipe.base), None)


def prepare_again(
    processor: CoreClipsProcessor,
    recipe: Recipe,
    settings: BlendSettings,
    quality: str,
    audio: Path,
    video: Path,
    wish: Wish,
) -> Performance:
    """The sound laid over the clips as the recipe has it, with notes on what differs. video: the one it is from.

    Another sound, and whatever is wished for, makes the cuts anew. ClipError where the same frames are asked for and
    the model or a clip is not what it was.
    """
    asked = wish.base in (None, recipe.base) and wish.model in (None, recipe.model.name)
    asked = asked and processor.editing == editing_of(recipe)
    same_sound = array_sha256(load_audio(audio, MAX_SOUND_S + 1)) == recipe.sound.samples_sha256
    notes = [] if same_sound else [f"it is another sound than that of {video.name}: the cuts are made anew"]
    if asked and same_sound:
        for problem in _obstacles(processor, recipe, wish):
            raise ClipError(f"{video.name} cannot be made again: {problem}")
    performance = processor.prepare(
        audio, wish.base or recipe.base, edits=edits_of(recipe) if asked and same_sound else None
    )
    now = recipe_of(processor, performance, settings, quality)
    notes += [f"not as in {video.name}: {text}" for text in differences(recipe, now)]
    return replace(performance, notes=(*performance.notes, *notes))


def _obstacles(processor: CoreClipsProcessor, recipe: Recipe, wish: Wish) -> Iterator[str]:
    """What keeps the recipe's cuts from showing what they showed, with the cure."""
    if wish.model is None and processor.model.sha256 != recipe.model.sha256:
        yield (
            f"the model {recipe.model.name} has other weights now; put those back, or give "
            f'--model "{recipe.model.name}" to render with these'
        )
    ends = {cut.clip: 0 for cut in edits_of(recipe).cuts}
    for cut in edits_of(recipe).cuts:
        ends[cut.clip] = max(ends[cut.clip], cut.first + cut.span)
    for clip in recipe.clips:
        cure = "put it back, or choose what to show with --clip or --base-video"
        if clip.name not in processor.known_clips():
            yield (f"there is no clip {clip.name!r} of {processor.model_name} (sha256 {clip.sha256}); {cure}")
        elif processor.clip(clip.name).sha256 != clip.sha256:
            yield f"the clip {clip.name!r} has other content now; {cure}"
        elif ends.get(clip.name, 0) > (there := len(processor.clip(clip.name).landmarks())):
            yield f"it shows frame {ends[clip.name] - 1} of {clip.name!r}, which has {counted(there, 'frame')}; {cure}"
