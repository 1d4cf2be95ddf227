"""The Clips view: ranking, plots, card; clips and own videos added, used, renamed, removed, cancelled, refused."""

import shutil

import numpy as np
import pytest
from test_browser_main_job import SETTLED, STATE

from models.lip_sync import BUNDLED as MODELS

CLIPS = "window.seamline.parts().clips"
ADDING = f"{CLIPS}.adding"
WAIT = 300_000


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Videos of the actor at 320 px, of 30 and of 400 frames."""
    from clips.library import ClipLibrary
    from clips.video import VideoWriter, read_frames

    folder = tmp_path_factory.mktemp("films")
    frames = [
        np.ascontiguousarray(frame[::2, ::2]) for frame in read_frames(ClipLibrary().clip("LS1", "silence").path, 0, 30)
    ]
    for name, count in (("short.mp4", 30), ("long.mp4", 400)):
        with VideoWriter(folder / name, 320, 320) as writer:
            for number in range(count):
                writer.write(frames[number % 30])
    (folder / "notes.mp4").write_text("Not a video.\n" * 50)
    return folder


def settled(page, more="true"):
    page.wait_for_function(f"window.seamline?.state?.header && {SETTLED} && ({more})", timeout=WAIT)


def opened(page):
    settled(page)
    page.keyboard.press("9")
    page.wait_for_function(f"{CLIPS}.state.rows.length >= 5 && {CLIPS}.state.card", timeout=WAIT)
    return page


def names(page, part="rows"):
    return page.evaluate(f"{CLIPS}.state.{part}.map((row) => row.name)")


def add(page, film, name, kind="clip"):
    page.click(f"#sl-clips [data-kind={kind}]")
    page.set_input_files("#sl-clips input[type=file]", film)
    page.fill("#sl-clips .sl-adding input[name=name]", name)
    page.click("#sl-clips .sl-adding [type=submit]")


def told(page, words):
    page.wait_for_function(f"!{ADDING}.busy && {ADDING}.message.includes({words!r})", timeout=WAIT)


def shows(page, base):
    page.wait_for_function(f"document.querySelector('#sl-what').textContent.includes({base!r} + ':')", timeout=WAIT)


def forgive(page, status):
    """The browser's own line about an answer that the page has put into words."""
    page.faults[:] = [fault for fault in page.faults if str(status) not in fault]


def test_a_model_that_came_since_is_listed_and_asks_for_clips(page, studio, films):
    new = studio[1] / "checkpoint" / "new"
    shutil.copytree(MODELS / "LS1", new)
    try:
        page.reload()
        settled(page)
        page.click("#sl-model input")
        page.get_by_role("option", name="new").click()
        page.wait_for_function("document.querySelector('#sl-blank').innerText.includes('new has no core clips yet')")
        assert page.inner_text("#sl-what") == "No clips yet"
        assert page.input_value("#sl-base input") == ""
        page.keyboard.press("9")
        page.wait_for_function(f"{CLIPS}.state.card && {CLIPS}.state.model === 'new'", timeout=WAIT)
        assert "new: no clips yet" in page.inner_text("#sl-clips header")
        add(page, films / "short.mp4", "first talk")
        told(page, "is ready")
        shows(page, "core clips")
        page.keyboard.press("2")
        settled(page, f"{STATE}.header.clip === 'first talk'")
        page.click("#sl-model input")
        page.get_by_role("option", name="LS1").click()
        page.wait_for_function("document.querySelector('#sl-what').textContent.startsWith('LS1')", timeout=WAIT)
        settled(page)
    finally:
        shutil.rmtree(new)
        shutil.rmtree(studio[1] / "core_clips" / "new", ignore_errors=True)


def test_clips_are_ranked_plotted_described_and_chosen(page):
    opened(page)
    rows = page.evaluate(f"{CLIPS}.state.rows")
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert any("light" in words for words in rows[-1]["advice"])
    table = page.inner_text("#sl-clips table")
    assert all(column in table for column in ("score", "masks"))
    units = page.locator("#sl-clips th small").all_inner_texts()
    assert units[2:-1] == [
        "of 100", "frames", "% found", "0 to 1", "% of face", "degrees", "% of face", "CIELAB", "CIELAB",
    ]  # fmt: skip
    assert page.evaluate(
        "(t => t.scrollWidth <= t.parentElement.clientWidth)(document.querySelector('#sl-clips table'))"
    )
    assert "train the model on its core clips" in page.inner_text("#sl-clips ul")
    assert "none" in page.inner_text(f"#sl-clips tr[data-name='{rows[0]['name']}']")
    assert "100 less" in page.get_attribute("#sl-clips th:nth-child(3)", "title")
    page.hover("#sl-clips th:nth-child(3)")
    assert "100 less" in page.inner_text("#sl-hint-text")
    for width, height in ((1280, 800), (1600, 1000)):
        page.set_viewport_size({"width": width, "height": height})
        for pane in ("table", "plots", "card"):
            page.click(f"#sl-clips [data-pane={pane}]")
            page.wait_for_function(f"{CLIPS}.state.pane !== 'plots' || {CLIPS}.state.plotted", timeout=WAIT)
            cut = page.evaluate(
                "[...document.querySelectorAll('#sl-clips .sl-pane:not([hidden]), #sl-clips figcaption, #sl-clips dd,"
                " #sl-clips li, #sl-clips th')].filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth)"
                ".map((e) => e.textContent)"
            )
            assert cut == [], (width, pane)
    assert page.locator("#sl-clips .sl-pane section svg").count() == 15
    card = page.inner_text("#sl-clips dl")
    assert all(fact in card for fact in ("mode", "size", "plan", "step", "sha256", "face square"))
    page.click("#sl-clips header [data-pane=table]")
    page.click(f"#sl-clips tr[data-name='{rows[0]['name']}'] button")
    shows(page, rows[0]["name"])
    settled(page, f"{STATE}.header.clip === '{rows[0]['name']}'")


def test_a_clip_is_added_used_renamed_and_removed(page, studio, films):
    opened(page)
    folder = studio[1] / "core_clips" / "LS1"
    add(page, films / "notes.mp4", "notes")
    told(page, "'notes.mp4' is a text file")
    add(page, films / "short.mp4", "silence")
    told(page, "has a clip 'silence' already")
    forgive(page, 422)
    add(page, films / "short.mp4", "mine")
    told(page, "mine talk is ready")
    assert "mine talk" in names(page)
    page.click("#sl-clips [data-do=use]")
    shows(page, "mine talk")
    settled(page, f"{STATE}.header.clip === 'mine talk'")

    page.keyboard.press("9")
    page.click("#sl-clips tr[data-name='mine talk'] button[aria-label]")
    page.fill("#sl-clips dialog input", "yours/talk")
    page.keyboard.press("Enter")
    page.wait_for_function(f"{CLIPS}.state.said.includes('plain name')", timeout=WAIT)
    forgive(page, 422)
    page.fill("#sl-clips dialog input", "yours")
    page.keyboard.press("Enter")
    shows(page, "yours talk")
    assert not (folder / "mine talk.mp4").exists()
    assert (folder / "yours talk.mp4").is_file()
    page.keyboard.press("2")
    settled(page, f"{STATE}.header.clip === 'yours talk'")

    page.keyboard.press("9")
    page.click("#sl-clips tr[data-name='yours talk'] button[aria-label]")
    page.click("#sl-clips dialog [data-do=remove]")
    assert (folder / "yours talk.mp4").is_file()
    page.click("#sl-clips dialog [data-do=remove]")
    shows(page, "core clips")
    assert not list(folder.glob("*.mp4"))
    page.wait_for_function(f"!{CLIPS}.state.rows.some((row) => row.name === 'yours talk')", timeout=WAIT)
    assert page.inner_text("#sl-clips header p") == "The base is core clips now."
    assert page.locator("#sl-clips tr[data-name='silence'] button").count() == 1  # bundled: nothing but Use


def test_an_own_video_is_a_base_at_once_and_after_a_reload(page, films):
    opened(page)
    add(page, films / "short.mp4", "me", "own")
    told(page, "me (own video) is ready")
    assert "me (own video)" not in names(page)
    assert names(page, "own") == ["me (own video)"]
    page.click("#sl-clips [data-do=use]")
    shows(page, "me (own video)")
    settled(page, f"{STATE}.header.clip === 'me (own video)'")
    page.wait_for_function("location.search.includes('own+video')", timeout=WAIT)
    page.reload()
    page.wait_for_function("window.seamline?.state?.header", timeout=WAIT)
    shows(page, "me (own video)")
    settled(page, f"{STATE}.header.clip === 'me (own video)'")
    opened(page)
    page.click("#sl-clips tr[data-name='me (own video)'] button[aria-label]")
    assert page.is_hidden("#sl-clips dialog [data-do=rename]")
    page.click("#sl-clips dialog [data-do=remove]")
    page.click("#sl-clips dialog [data-do=remove]")
    shows(page, "core clips")
    page.wait_for_function(f"{CLIPS}.state.own.length === 0", timeout=WAIT)


def test_an_upload_is_cancelled_and_leaves_nothing(page, studio, films):
    opened(page)
    add(page, films / "long.mp4", "endless")
    page.wait_for_function(f"{ADDING}.message.startsWith('Finding the face')", timeout=WAIT)
    page.click("#sl-clips [data-do=stop]")
    told(page, "Cancelled; nothing was added.")
    add(page, films / "short.mp4", "endless", "own")  # waits until the first has let go
    told(page, "endless (own video) is ready")
    workspace = studio[1]
    assert [path for path in (workspace / "core_clips").rglob("*") if path.is_file()] == []
    assert [path for path in (workspace / "cache" / "gradio").rglob("upload") if path.is_file()] == []
