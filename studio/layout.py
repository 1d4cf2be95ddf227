"""The page: native Gradio controls around one viewer."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from blending import BlendSettings
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.library import SAMPLE_SPEECH, file_sha256
from clips.presets import preset_names
from clips.quality import QUALITIES, STANDARD, quality_named
from clips.render import RenderCancelled
from clips.timeline import FrameRange
from models.errors import ModelError
from studio.access import person_of
from studio.controls import GROUPS, MORE, SettingControl, settings_controls
from studio.limits import PAGE_LIMIT
from studio.links import read_link
from studio.preset_shelf import PresetShelf
from studio.renders import Renders, RenderState
from studio.sessions import Sessions

HERE = Path(__file__).parent
FIRST_MODEL = "LS1"
CANCELLED = "Cancelled; nothing was written."
FIRST_BASE = "05,20s talk evening"
RANGES = ("whole", "loop")
Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


def page_theme() -> gr.themes.Base:
    """Neutral greys (r = g = b): colour is judged on this page. System fonts: nothing is fetched."""
    greys = [f"#{level:02x}{level:02x}{level:02x}" for level in (250, 240, 222, 200, 170, 138, 104, 76, 52, 38, 27)]
    neutral = gr.themes.Color(*greys, name="seamline")
    return gr.themes.Base(
        primary_hue=neutral,
        secondary_hue=neutral,
        neutral_hue=neutral,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_sm,
        text_size=gr.themes.sizes.text_sm,
        font=["Inter", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"],
        font_mono=["Consolas", "Menlo", "DejaVu Sans Mono", "monospace"],
    )


def page_style() -> str:
    return (HERE / "static" / "studio.css").read_text(encoding="utf-8")


OPENING = "(...values) => { window.seamline.opening(); return values; }"
FIRST_OPENING = """(...values) => {
  window.seamline.opening();
  const frame = new URLSearchParams(location.search).get("frame");
  return /^[0-9]{1,6}$/.test(frame ?? "") ? [...values.slice(0, 3), '{"linked": true}', Number(frame)] : values;
}"""
"""A link or a reload opens at the frame of its address."""

CALLS = ("show", "compare", "opening", "opened", "starting", "preset")
"""What Gradio's events call on the page; before its own scripts are there, the calls wait."""


SMALL = """<style>@media (max-width: 1279px), (max-height: 799px) {
  html { overflow: auto !important; } html > body { overflow: visible !important; }
}</style>"""
"""In a window that is too small the page scrolls. Gradio would put its own class before such a rule of the style."""


def page_head(*, live: bool) -> str:
    """Scripts of the page. live: whether the server speaks WebSocket."""
    labels = json.dumps({control.name: control.label for control in BlendSettings.controls()})
    door = (
        f"window.seamline = {{live: {json.dumps(live)}, labels: {labels}, early: [], state: {{}}}};"
        f"for (const name of {json.dumps(CALLS)})"
        " window.seamline[name] = (...args) => { window.seamline.early.push([name, args]); };"
    )
    return f'{SMALL}<script>{door}</script><script type="module" src="/studio/static/studio.js"></script>'


def first_choice(sessions: Sessions) -> tuple[str | None, str]:
    """Model and base a page opens with; no model where there is none."""
    models = sessions.models()
    model = FIRST_MODEL if FIRST_MODEL in models else (models[0] if models else None)
    bases = sessions.bases(model) if model else []
    return model, FIRST_BASE if FIRST_BASE in bases else AUTOMATIC


def build_page(sessions: Sessions, renders: Renders) -> gr.Blocks:
    """All controls with their events. Every control changes what is seen or rendered."""
    models = sessions.models()
    model_name, first_base = first_choice(sessions)
    bases = sessions.bases(model_name) if model_name else [AUTOMATIC]
    controls: dict[str, SettingControl] = {}
    with gr.Blocks(title="Seamline", analytics_enabled=False, fill_width=True, fill_height=True) as page:
        with gr.Row(elem_id="sl-topbar"):
            gr.HTML('<b>Seamline</b><div id="sl-undo" class="sl-undo"></div>', elem_id="sl-brand")
            model = gr.Dropdown(models, value=model_name, label="Model", elem_id="sl-model", filterable=False)
            base = gr.Dropdown(bases, value=first_base, label="Base", elem_id="sl-base", filterable=False)
            gr.HTML(_part("topbar"), elem_id="sl-status")
        with gr.Row(elem_id="sl-body"):
            with gr.Column(elem_id="sl-left"):
                with gr.Column(elem_id="sl-controls"):
                    with gr.Column(elem_id="sl-sound"):
                        audio = gr.Audio(
                            value=str(SAMPLE_SPEECH), sources=["upload"], type="filepath", label="Speech",
                            elem_id="sl-audio", editable=False, buttons=[],
                        )  # fmt: skip
                        recorder = gr.Audio(
                            sources=["microphone"], type="filepath", label="Recording", elem_id="sl-recorder",
                            editable=False, buttons=[],
                        )  # fmt: skip
                        with gr.Row(elem_id="sl-sources"):
                            replace = gr.UploadButton("Replace", elem_id="sl-replace", size="sm")
                            gr.Button("Record", elem_id="sl-record", size="sm")
                    for title, names in GROUPS.items():
                        with gr.Column(elem_classes="sl-group"):
                            gr.HTML(f"<h3>{title}</h3>", elem_classes="sl-head")
                            controls |= settings_controls(names)
                    with gr.Accordion("More", open=False, elem_id="sl-more"):
                        controls |= settings_controls(MORE)
                with gr.Column(elem_id="sl-actions"):
                    with gr.Row(elem_classes="sl-pair", elem_id="sl-presets"):
                        preset = gr.Dropdown(
                            preset_names(sessions.workspace), value="default", label="Preset", elem_id="sl-preset",
                            filterable=False,
                        )  # fmt: skip
                        gr.Button("Keep", elem_id="sl-keep")
                        reset = gr.Button("Reset", elem_id="sl-reset")
                    with gr.Row(elem_classes="sl-pair", elem_id="sl-how"):
                        quality = gr.Dropdown(
                            list(QUALITIES), value=STANDARD, label="Quality", elem_id="sl-quality", filterable=False
                        )
                        ranges = [(one.capitalize(), one) for one in RANGES]
                        part = gr.Radio(ranges, value=RANGES[0], label="Range", elem_id="sl-range")
                    with gr.Row(elem_classes="sl-pair"):
                        render = gr.Button("Render test video", variant="primary", elem_id="sl-render")
                        cancel = gr.Button("Cancel", elem_id="sl-cancel")
                    progress = gr.HTML(_progress_bar(None), elem_id="sl-progress")
                gr.HTML('<p id="sl-hint-text"></p>', elem_id="sl-hint")
            with gr.Column(elem_id="sl-centre"):
                gr.HTML(_part("viewer"), elem_id="sl-viewer")
                with gr.Column(elem_id="sl-dock"):
                    with gr.Row(elem_id="sl-scrub"):
                        gr.HTML(_part("transport"), elem_id="sl-transport")
                        frame = gr.Slider(0, 1, value=0, step=1, label="Frame", elem_id="sl-frame", buttons=[])
                    gr.HTML('<div id="sl-timeline" class="sl-timeline"></div>', elem_id="sl-time-part")
            with gr.Column(elem_id="sl-right"):
                gr.HTML(_part("inspect"), elem_id="sl-inspect")
        gr.HTML(_part("help"), elem_id="sl-help")
        session = gr.Textbox(visible="hidden", elem_id="sl-session")
        videos = gr.Textbox(visible="hidden", elem_id="sl-videos")
        span = gr.Textbox(visible="hidden")
        restore = gr.Textbox(visible="hidden", elem_id="sl-restore")
        put = gr.Textbox(visible="hidden", elem_id="sl-put")
        listed = gr.Textbox(visible="hidden", elem_id="sl-listed")
        refresh = gr.Button(visible="hidden", elem_id="sl-refresh")
        chosen = gr.Textbox(_as_text(BlendSettings()), visible="hidden", elem_id="sl-chosen")

        opening: dict[str, Any] = {
            "fn": _explained(_opener(sessions)),
            "inputs": [audio, model, base, session, frame],
            "outputs": [session, frame, base, controls["use_parsing"]],
            "js": OPENING,
            "show_progress": "hidden",
            "trigger_mode": "always_last",
            "api_visibility": "private",
        }
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        returned = page.load(
            _explained(_returner(sessions, list(controls))), [session, session],
            [model, base, frame, session, *controls.values(), audio],
            js="() => [location.search, sessionStorage.getItem('seamline-session') || '']", **quiet,
        )  # fmt: skip
        taken = restore.change(
            _explained(_restorer(sessions, list(controls))), restore,
            [model, base, quality, part, frame, *controls.values()], **quiet,
        )  # fmt: skip
        put.change(
            fn=None, inputs=put, outputs=list(controls.values()), queue=False, api_visibility="private",
            js=f"(text) => {json.dumps(list(controls))}.map((name) => JSON.parse(text)[name])",
        )  # fmt: skip
        # The speech that is there stays until another one could be laid over the clips.
        brought = [
            event(_explained(_hearer(sessions)), [source, model, base], [audio, recorder], js=OPENING, **quiet)
            for source, event in ((replace, replace.upload), (recorder, recorder.stop_recording))
        ]
        # Not `change`: what a reload puts there would open beside its base, and the slower of the two would win.
        begun = (
            gr.on([audio.upload, audio.clear, model.select, base.select, refresh.click], **opening),
            *(sound.success(**opening) for sound in brought),
            returned.then(**{**opening, "js": FIRST_OPENING}), taken.then(**opening),
        )  # fmt: skip
        ends = [after for opened in begun for after in (opened.success, opened.failure)]
        for answered in [*ends, *(sound.failure for sound in brought)]:
            answered(fn=None, js="() => window.seamline.opened()", queue=False, api_visibility="private")
        presets: dict[str, Any] = {
            "fn": _explained(_preset_lister(sessions)), "inputs": [listed, model, base, preset],
            "outputs": [preset, chosen], "trigger_mode": "always_last", **quiet,
        }  # fmt: skip
        gr.on([page.load, listed.change, model.select, base.select], **presets)
        taken.success(**presets)
        shown = [session, frame, *controls.values()]
        gr.on(
            [control.change for control in shown],
            fn=None,
            inputs=shown,
            js=f"(...values) => window.seamline.show({json.dumps(list(controls))}, values)",
            queue=False,
            api_visibility="private",
        )
        gr.on(
            [preset.select, reset.click],
            _explained(_preset_loader(sessions, list(controls))),
            [preset, model, base],
            [chosen, *controls.values()],
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
        gr.on(
            [page.load, chosen.change], fn=None, inputs=chosen,
            js="(text) => window.seamline.preset(text)", queue=False, api_visibility="private",
        )  # fmt: skip
        rendering = render.click(
            _renderer(sessions, renders, list(controls)),
            [session, quality, part, frame, span, *controls.values()],
            [progress, videos],
            js="(...values) => window.seamline.starting(values)",
            show_progress="hidden",
            concurrency_limit=1,
            concurrency_id="render",
            api_visibility="private",
        )
        cancel.click(
            _explained(_canceller(sessions)), [session, progress], progress,
            cancels=[rendering], queue=False, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        videos.change(
            fn=None, inputs=videos, js="(text) => window.seamline.compare(text)", queue=False, api_visibility="private"
        )
    return page


def _part(name: str) -> str:
    return (HERE / "static" / f"{name}.html").read_text(encoding="utf-8").replace("{sound_limit}", PAGE_LIMIT)


def _as_text(settings: BlendSettings) -> str:
    return json.dumps(settings.model_dump())


def _preset_loader(sessions: Sessions, names: list[str]) -> Callable[[str, str, str], list[object]]:
    def load(name: str, model: str, base: str) -> list[object]:
        """The preset's values for the page's mark of changes, and for each control."""
        settings = PresetShelf(sessions.workspace).load(name, model, base)
        return [_as_text(settings), *_values(settings, names)]

    return load


def _values(settings: BlendSettings, names: list[str]) -> list[object]:
    return [getattr(settings, one) for one in names]


def _preset_lister(sessions: Sessions) -> Callable[[str, str, str, str], tuple[object, object]]:
    def names_of(asked: str, model: str, base: str, shown: str) -> tuple[object, object]:
        """The presets for a model and base, and what the chosen one says: the one that was just saved, or the one
        shown."""
        listing, _ = PresetShelf(sessions.workspace).listing(model, base)
        presets = {preset.name: preset for preset in listing}
        wanted = _told(asked).get("name", shown)
        name = next((n for n in (wanted, shown) if n in presets), "default")
        settings = presets[name].settings
        said = gr.skip() if settings is None else _as_text(settings)
        return gr.Dropdown(choices=list(presets), value=name), said

    return names_of


def _told(text: str) -> dict[str, Any]:
    """What the page says in a hidden box, as JSON; nothing where it says nothing."""
    try:
        told = json.loads(text or "{}")
    except ValueError:
        told = {}
    return told if isinstance(told, dict) else {}


def _restorer(sessions: Sessions, names: list[str]) -> Callable[..., list[object]]:
    def restore(text: str, request: gr.Request) -> list[object]:
        """Model, base, quality, range, frame and settings as the page asks for them; what it leaves out stays."""
        told = _told(text)
        model, base, quality, part, frame = (told.get(key) for key in ("model", "base", "quality", "range", "frame"))
        if model is not None and model not in sessions.models():
            raise ClipError(f"the model {str(model)[:80]!r} does not exist here; choose another one")
        if quality is not None:
            quality_named(str(quality))
        settings = BlendSettings.parse(told["settings"]) if "settings" in told else None
        bases = sessions.bases(model, person_of(request)) if isinstance(model, str) else None
        if isinstance(base, str) and bases is not None and base not in bases:
            raise ClipError(f"there is no base {base[:80]!r} any more; choose another one")
        choices = {} if bases is None else {"choices": bases}
        return [
            gr.skip() if model is None else model,
            gr.Dropdown(value=base, **choices) if isinstance(base, str) else gr.skip(),
            gr.skip() if quality is None else quality,
            part if part in RANGES else gr.skip(),
            frame if type(frame) is int and frame >= 0 else gr.skip(),
            *([gr.skip()] * len(names) if settings is None else _values(settings, names)),
        ]

    return restore


def _returner(sessions: Sessions, names: list[str]) -> Callable[..., list[object]]:
    def come_back(query: str, before: str, request: gr.Request) -> list[object]:
        """What a link or a reload brings: sound, model, base, frame, the session before, and settings."""
        link = read_link(query or "")
        sound: object = gr.skip()
        try:
            session = sessions.get(_token(before), person_of(request))
            if session.audio.is_file() and file_sha256(session.audio) != file_sha256(
                SAMPLE_SPEECH
            ):  # that one is there already
                sound = str(session.audio)
        except ClipError:
            before = ""  # a session that is no longer open: the page begins with the sample
        models = sessions.models()
        if link.model is not None and link.model not in models:
            raise ClipError(f"the link's model {link.model!r} does not exist here; there are: {', '.join(models)}")
        model = gr.Dropdown(choices=models, **({} if link.model is None else {"value": link.model}))
        base: object = gr.skip()
        if link.base is not None:
            bases = sessions.bases(link.model or FIRST_MODEL, person_of(request))
            if link.base not in bases:
                gr.Warning(
                    f"{link.base!r} is not there, or was removed or renamed: {AUTOMATIC} is shown.", title="Base"
                )
            base = gr.Dropdown(choices=bases, value=link.base if link.base in bases else AUTOMATIC)
        place: object = gr.skip()
        if link.frame is not None:
            place = gr.Slider(maximum=link.frame + 1, value=link.frame)
        return [model, base, place, before, *_values(link.settings, names), sound]

    return come_back


def _hearer(sessions: Sessions) -> Callable[..., tuple[object, None]]:
    def hear(sound: str | None, model: str | None, base: str, request: gr.Request) -> tuple[object, None]:
        """A sound that was chosen or recorded, as the speech, and an empty recorder. ClipError for what is no sound."""
        if not sound:
            raise ClipError("expected a sound; nothing was recorded: allow the microphone, or upload a file")
        if model is not None:  # what is laid over the clips here is there when the session opens
            person = person_of(request)
            bases = sessions.bases(model, person)
            if bases:
                sessions.make(model, Path(sound), base if base in bases else bases[0], owner=person)
        return sound, None

    return hear


def _opener(sessions: Sessions) -> Callable[..., tuple[Any, ...]]:
    def open_session(
        audio: str | None, model: str | None, base: str | None, before: str | None, frame: float, request: gr.Request
    ) -> tuple[Any, ...]:
        """Session for the viewer, the scrubber's length and place, the bases of the model, and the switch of parsing
        masks, which is shown where the model's clips have some: elsewhere it would do nothing."""
        if not isinstance(model, str):
            raise ClipError("there is no model; put one into the workspace's checkpoint/")
        bases = sessions.bases(model, person_of(request))
        offered = gr.Dropdown(choices=bases)  # a choice made meanwhile stays
        if base not in bases:
            base = bases[0] if bases else None
            offered = gr.Dropdown(choices=bases, value=base)
        if base is None or not audio:
            return json.dumps({"model": model, **_nothing_open(model, base)}), gr.Slider(), offered, gr.skip()
        session = sessions.open(model, Path(audio), base, owner=person_of(request))
        for damage in session.performance.damage:
            gr.Warning(damage, title="Speech")
        edits = session.performance.edits
        linked = "linked" in _told(before or "") and 0 <= frame < edits.frames
        if _shown_frames(before) != edits.frames and not linked:  # another sound: a frame in its first speech
            cut = next((cut for cut in edits.cuts if cut.driven), edits.cuts[0])
            frame = cut.place.start + min(22, len(cut.place) // 2)
        scrubber = gr.Slider(maximum=max(edits.frames - 1, 1), value=frame)
        parsing = gr.Radio(visible=session.processor.has_parsing)
        return json.dumps(session.describe()), scrubber, offered, parsing

    return open_session


def _nothing_open(model: str, base: str | None) -> dict[str, str]:
    """What the page says in the place of a picture, while it has no base or no speech."""
    if base is None:
        cure = "Add videos of its person under Clips: the mouth is drawn on them."
        return {"what": "No clips yet", "empty": f"{model} has no core clips yet. {cure}"}
    return {"what": "No speech yet", "empty": "Upload speech or record it, at the top left: the mouth follows it."}


def _shown_frames(session_text: str | None) -> int | None:
    """Frames of the session the page has open, None without one."""
    try:
        return int(json.loads(session_text or "{}")["frames"])
    except (ValueError, KeyError, TypeError):
        return None


def _renderer(sessions: Sessions, renders: Renders, names: list[str]) -> Callable[..., Iterator[tuple[Any, ...]]]:
    def render_steps(
        session_text: str, quality: str, part: str, frame: float, span: str, request: gr.Request, *values: object
    ) -> Iterator[tuple[Any, ...]]:
        """Progress bar, and the finished render's id. span: the frames of the loop as "A-B", B the one after the last;
        "" for all."""
        try:
            session = sessions.get(_token(session_text), person_of(request))
            settings = BlendSettings.parse(dict(zip(names, values, strict=True)))
            quality_named(quality)
            for state in renders.run(session, settings, frames=_frames(span), quality=quality):
                if state.report is None:
                    if not session.cancel.is_set():  # the line says by now that it is cancelled
                        yield _progress_bar(state), gr.skip()
                    continue
                yield _progress_bar(state), state.id
        except RenderCancelled:
            yield _progress_bar(None, CANCELLED), gr.skip()
        except (ClipError, ModelError, ValueError, OSError) as e:
            gr.Warning(str(e), title="The render stopped")
            yield _progress_bar(None, str(e)), gr.skip()

    return render_steps


def _frames(span: str) -> FrameRange | None:
    """Frames of the page's range, "A-B" with B the one after the last; None for all."""
    if not span:
        return None
    first, _, stop = span.partition("-")
    if not (first.isdigit() and stop.isdigit() and len(first) < 8 and len(stop) < 8):
        raise ClipError(f"the range must be frames of the video; got {span[:40]!r}")
    return FrameRange(int(first), int(stop))


def _canceller(sessions: Sessions) -> Callable[[str, str, gr.Request], str]:
    def cancel_render(session_text: str, shown: str, request: gr.Request) -> str:
        """Stops the page's own render, running or waiting."""
        sessions.get(_token(session_text), person_of(request)).cancel.set()
        said = _progress_bar(None, "Nothing is being rendered." if "Done in" in shown else CANCELLED)
        return f"{said}<!-- {time.monotonic_ns()} -->"  # Gradio leaves what the page wrote there over an equal text

    return cancel_render


def _token(session_text: str) -> str:
    """The token in the page's session text; ClipError when nothing is open."""
    try:
        token = json.loads(session_text or "{}").get("token")
    except (ValueError, AttributeError, TypeError):
        token = None
    if not isinstance(token, str):
        raise ClipError("there is no speech yet; upload a sound or record one first")
    return token


def _explained(work: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """The same function whose errors appear as a message on the page."""

    @wraps(work)  # Gradio looks at the parameters
    def explained(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        try:
            return work(*args, **kwargs)
        except (ClipError, ModelError, ValueError) as e:
            raise gr.Error(str(e), title="This cannot be used", print_exception=False) from e

    return explained


def _progress_bar(state: RenderState | None, message: str = "") -> str:
    """A bar with frames, rate and time left; an empty one with a message when nothing runs."""
    share = 0 if state is None else 100 * state.done // max(state.total, 1)
    text = message
    if state is not None and state.waiting:
        text = "Waiting: another render runs"
    elif state is not None and state.report is None:
        text = f"{state.done} of {state.total} frames"
        if state.frames_per_second > 0:
            text += f", {state.frames_per_second:.0f} per second, {state.seconds_left:.0f} s left"
    elif state is not None:
        report = state.report
        assert report is not None
        seam = "" if report.seam_mean is None else f", seam {report.seam_mean:.2f}"
        text = f"Done in {state.seconds:.0f} s: {report.frames} frames{seam}"
    running = "" if state is None or state.report is not None else " data-running"
    return f'<div class="sl-bar"{running}><i style="width:{share}%"></i></div><p>{html.escape(text)}</p>'
