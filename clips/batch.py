"""A list of renders in a YAML file: what is finished is skipped, what fails is reported, the rest is rendered."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from blending import BlendSettings
from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor
from clips.edit_settings import EditSettings
from clips.errors import ClipError
from clips.presets import load_preset
from clips.quality import STANDARD, quality_named
from clips.recipe import made_from, read_recipe, recipe_of
from clips.render import Progress, check_outputs
from clips.timeline import counted
from clips.waiting import waiting

if TYPE_CHECKING:
    from clips.core_clips_processor import Performance

MAX_FILE_BYTES = 1 << 20
MAX_JOBS = 10_000
MAX_VALUES = 2 * MAX_FILE_BYTES
"""Values and letters of a file with its aliases written out; one without any has fewer."""

KEYS = ("audio", "output", "model", "clip", "preset", "settings", "quality", "editing", "unblended")


@dataclass(frozen=True)
class Job:
    """One render; paths are absolute."""

    audio: Path
    output: Path
    settings: BlendSettings
    model: str = "LS1"
    clip: str = AUTOMATIC
    quality: str = STANDARD
    editing: EditSettings = field(default_factory=EditSettings)
    unblended: Path | None = None


@dataclass(frozen=True)
class Result:
    """What came of a job. state: "done", "skipped" or "failed"; said: frames and scores, or why. notes: of the
    render, or of what a skipped job was made from."""

    job: Job
    state: str
    said: str
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """What is told at once: why a job failed stands in the summary, where it does not scroll away."""
        told = f"{self.seconds:.1f} s" + ("" if self.state == "failed" else f": {self.said}")
        return f"{self.state:8} {self.job.output.name}  {told}"


def load_jobs(path: Path, workspace: Path | None = None) -> list[Job]:
    """Jobs of a file: `jobs`, a list of mappings of KEYS, and `defaults`, one such mapping for all of them. Relative
    paths are relative to the file. ClipError names every mistake, before anything is rendered."""
    content = _read(path)
    for key in content:
        if key not in ("defaults", "jobs"):
            raise ClipError(f"{path.name}: {_unknown(key, ('defaults', 'jobs'))}")
    defaults, entries = content.get("defaults") or {}, content.get("jobs")
    if not isinstance(defaults, Mapping):
        raise ClipError(f"{path.name}: defaults must be 'key: value' lines; got {type(defaults).__name__}")
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_JOBS:
        raise ClipError(f"{path.name}: jobs must be a list of 1 to {MAX_JOBS} jobs, each with audio and output")
    jobs, mistakes = [], []
    for number, entry in enumerate(entries, 1):
        try:
            jobs.append(_job(entry, defaults, Path(os.path.realpath(path.parent)), workspace))
        except (ClipError, ValueError) as error:
            mistakes.append(f"job {number}: {error}")
    written = [Path(os.path.realpath(one)) for job in jobs for one in (job.output, job.unblended) if one is not None]
    twice = sorted({one.name for one in written if written.count(one) > 1})
    if twice:
        mistakes.append(f"each job needs an output of its own; written twice: {', '.join(twice)}")
    if mistakes:
        raise ClipError(f"{path.name}: {'; '.join(mistakes[:10])}")
    return jobs


def _read(path: Path) -> Mapping[Any, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ClipError(f"expected a list of jobs; {path.name} has more than {MAX_FILE_BYTES >> 20} MB")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ClipError(
            f"expected a list of jobs; {path} cannot be opened ({error.strerror}); check the name"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ClipError(
            f"{path.name} cannot be read as YAML ({' '.join(str(error).split())[:300]}); mend it"
        ) from error
    if not isinstance(content, Mapping):
        raise ClipError(f"{path.name} must hold 'jobs:' and a list; got {type(content).__name__}")
    _check_size(content, path.name)
    return content


def _check_size(content: object, name: str) -> None:
    """ClipError for content that holds far more than its file: aliases within aliases, which take all memory once they
    are written out."""
    size, left = 0, [content]
    while left:
        one = left.pop()
        size += 1 + (len(one) if isinstance(one, str) else 0)
        if size > MAX_VALUES:
            raise ClipError(
                f"{name} holds too much once its aliases (*name) are written out; write the jobs out instead"
            )
        if isinstance(one, Mapping):
            left += [*one, *one.values()]
        elif isinstance(one, list | tuple | set):
            left += one


def _job(entry: object, defaults: Mapping[Any, Any], folder: Path, workspace: Path | None) -> Job:
    """One entry as a job; ClipError or ValueError for what does not fit."""
    if not isinstance(entry, Mapping):
        raise ClipError(f"a job must be 'key: value' lines; got {str(entry)[:60]!r}")
    values = {**defaults, **entry}
    for key in values:
        if key not in KEYS:
            raise ClipError(_unknown(key, KEYS))
    everything = {}
    for group in ("settings", "editing"):
        values.pop(group, None)
        everything[group] = _mapping(group, defaults) | _mapping(group, entry)
    for key, value in values.items():
        if not isinstance(value, str) or not value:
            raise ClipError(f"{key} must be a text; got {str(value)[:60]!r}; put it into quotation marks")
        if "\0" in value:
            raise ClipError(f"{key} must not hold a NUL character; got {value[:60]!r}")
    for key in ("audio", "output"):
        if key not in values:
            raise ClipError(f"{key} is missing")
    quality_named(values.get("quality", STANDARD))
    base = load_preset(values.pop("preset", "default"), workspace)
    paths = {key: folder / values.pop(key) for key in ("audio", "output", "unblended") if key in values}
    settings = BlendSettings.parse(base.model_dump() | everything["settings"])
    return Job(**paths, settings=settings, editing=EditSettings.parse(everything["editing"]), **values)


def _mapping(group: str, values: Mapping[Any, Any]) -> dict[Any, Any]:
    found = values.get(group)
    if found is not None and not isinstance(found, Mapping):
        raise ClipError(f"{group} must be 'setting: value' lines; got {str(found)[:60]!r}")
    return dict(found or {})


def _unknown(key: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(key).lower(), known, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"{str(key)[:60]!r} is not known; {guess}there are {', '.join(known)}"


class _Processors:
    """The last processor, since the jobs of one model usually follow each other and two of them need twice the
    memory."""

    def __init__(self, workspace: Path, device: str, runtime: str) -> None:
        self._workspace, self._device, self._runtime = workspace, device, runtime
        self._last: tuple[tuple[str, EditSettings], CoreClipsProcessor] | None = None

    def of(self, job: Job) -> CoreClipsProcessor:
        key = (job.model, job.editing)
        if self._last is None or self._last[0] != key:
            self._last = None
            with waiting(f"loading the model {job.model}"):
                processor = CoreClipsProcessor(
                    job.model, workspace=self._workspace, editing=job.editing, device=self._device,
                    runtime=self._runtime,
                )  # fmt: skip
            self._last = (key, processor)
        return self._last[1]


def run_jobs(
    jobs: Sequence[Job],
    workspace: Path,
    *,
    device: str = "auto",
    runtime: str = "auto",
    progress: Callable[[Job], Callable[[Progress], None]] | None = None,
) -> Iterator[Result]:
    """Render the jobs in order; yields what came of each. One whose output is there with the recipe it would get is
    skipped; one that cannot be rendered is "failed" and the next one follows."""
    from models import ModelError

    processors = _Processors(workspace, device, runtime)
    for job in jobs:
        started = time.monotonic()
        try:
            check_outputs(job.output, job.unblended, keep=[job.audio])
            processor = processors.of(job)
            with waiting(f"listening to {job.audio.name}, choosing clips"):
                performance = processor.prepare(job.audio, job.clip)
            if _is_finished(job, processor, performance):
                yield Result(
                    job, "skipped", "finished before, by the same recipe", time.monotonic() - started, performance.notes
                )
                continue
            report = processor.generate_video(
                performance, job.output, job.settings, progress(job) if progress else None,
                quality=job.quality, unblended=job.unblended,
            )  # fmt: skip
        except (ClipError, ModelError, ValueError, OSError) as error:
            yield Result(job, "failed", " ".join(str(error).split()), time.monotonic() - started)
            continue
        said = f"{counted(report.frames, 'frame')}, {report.seam_words}".removesuffix(", ")
        yield Result(job, "done", said, time.monotonic() - started, report.notes)


def _is_finished(job: Job, processor: CoreClipsProcessor, performance: Performance) -> bool:
    if not job.output.is_file() or (job.unblended is not None and not job.unblended.is_file()):
        return False
    try:
        there = read_recipe(job.output)
    except ClipError:
        return False  # another file: it is rendered over, as `render` does
    return made_from(there) == made_from(recipe_of(processor, performance, job.settings, job.quality))


def summary(results: Sequence[Result]) -> str:
    """How many jobs were done, skipped and failed, why each of the latter, and every note with the jobs it is for."""
    counts = [f"{sum(r.state == state for r in results)} {state}" for state in ("done", "skipped", "failed")]
    failures = [f"{r.job.output.name}: {r.said}" for r in results if r.state == "failed"]
    noted: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            noted.setdefault(note, []).append(result.job.output.name)
    notes = [
        f"note on {', '.join(names) if len(names) <= 3 else counted(len(names), 'job')}: {note}"
        for note, names in noted.items()
    ]
    return "\n".join(["", ", ".join(counts), *failures, *notes])
