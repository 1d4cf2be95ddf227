"""The viewer of two renders: zoom, choice of sides, timeline, play, the list of renders.

The renders are small videos whose grey tells the frame, so that what is shown can be read from the canvas.
"""

import json
import os
import time
from itertools import pairwise

import numpy as np
import pytest
from test_browser_main_job import settled

from clips.video import VideoWriter

PARTS = "window.seamline.parts()"
STATE = f"{PARTS}.compare.state"
LIST = f"{PARTS}.renders.state"
STEP = 8
WHOLE, FIRST, STOP = 30, 10, 22
GREYS = """() => {
  const canvas = document.querySelector("#sl-compare canvas");
  const at = (share) => [Math.round(share * canvas.width), canvas.height / 2, 1, 1];
  return [0.25, 0.75].map((share) => canvas.getContext("2d").getImageData(...at(share)).data[0]);
}"""
PLAYED = (
    """async (milliseconds) => {
  const seen = [];
  const started = performance.now();
  while (performance.now() - started < milliseconds) {
    await new Promise(requestAnimationFrame);
    seen.push([window.seamline.parts().compare.state.frame, ...greys()]);
  }
  return seen;
}"""
).replace("greys()", f"({GREYS})()")
PLACE = f"(({{ scale, cx, cy }}) => [scale, cx, cy])({PARTS}.compare.place())"


def written(folder, name, frames, date, *, unblended=False, about=None, **settings):
    """A render whose frames have the grey of their place in the sound."""
    recipe = {"settings": {"feather_amount": 30, "texture": 1.0, **settings}, "base": "clip", "model": "LS1"}
    paths = [folder / f"{name}.mp4", *([folder / f"{name} unblended.mp4"] if unblended else [])]
    for path in paths:
        with VideoWriter(path, 320, 240, metadata={"synopsis": json.dumps(recipe)}) as writer:
            for frame in frames:
                writer.write(np.full((240, 320, 3), STEP * frame, np.uint8))
        os.utime(path, (date, date))
    record = folder / ".history" / f"{name}.json"
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"frames": len(frames), "quality": "standard", "sound": "a.wav", **(about or {})}))
    return [*paths, record]


@pytest.fixture
def videos(studio):
    """Three renders: "one" and "two" of all frames, with their unblended ones, and "part" of some."""
    folder = studio[1] / "renders"
    folder.mkdir(exist_ok=True)
    now = time.time()
    scores = {"seam_mean": 0.3, "seam_worst": 0.6, "worst_frame": 12, "seam_unblended": 1.9, "face": [80, 60, 120]}
    made = [
        *written(folder, "one", range(WHOLE), now - 3, unblended=True, about=scores),
        *written(folder, "two", range(WHOLE), now - 2, unblended=True, about=scores | {"seam_mean": 1.2}, texture=0.5),
        *written(folder, "part", range(FIRST, STOP), now - 1, about={"range": [FIRST, STOP]}, feather_amount=0),
    ]
    yield folder
    for path in made:
        path.unlink(missing_ok=True)


@pytest.fixture
def desk(videos, page):
    settled(page)
    page.wait_for_function(f"{LIST}.entries.some((entry) => entry.name === 'part.mp4')", timeout=30_000)
    return page


def shown(page, a, b="", frame=None):
    """Two videos by name; "/unblended" after it for that one."""
    page.evaluate(
        f"""([a, b]) => {{
          const id = (text) => {{
            const [name, plain] = text.split("/");
            return {LIST}.entries.find((entry) => entry.name === `${{name}}.mp4`).id + (plain ? `/${{plain}}` : "");
          }};
          {PARTS}.renders.choose(id(a), b && id(b));
        }}""",
        [a, b],
    )
    page.wait_for_function(f"{STATE}.frame >= 0", timeout=60_000)
    if frame is not None:
        page.evaluate(f"{PARTS}.compare.seek({frame})")
        at(page, frame)


def at(page, frame):
    page.wait_for_function(
        f"{STATE}.frame === {frame} && ({GREYS})().every((grey) => Math.abs(grey - {STEP * frame}) <= 3)",
        timeout=60_000,
    )


def test_zoom_pan_and_surround_hold_through_all_that_is_shown(desk):
    page = desk
    shown(page, "one", "two", 5)
    box = page.locator("#sl-compare canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.4)
    page.mouse.wheel(0, -300)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.77, box["y"] + box["height"] * 0.44, steps=3)
    page.mouse.up()
    placed = page.evaluate(PLACE)
    assert placed[0] > 1.5 * min(box["width"] / 2 / 320, box["height"] / 240)
    page.keyboard.press(".")
    at(page, 6)
    page.keyboard.press("k")
    page.wait_for_function(f"{STATE}.frame > 8", timeout=60_000)
    page.keyboard.press("k")
    page.keyboard.press("w")
    shown(page, "two", "one/unblended")
    assert page.evaluate(PLACE) == placed
    assert page.evaluate(f"{STATE}.mode") == "wipe"
    page.keyboard.press("g")
    assert page.evaluate(PLACE)[1:] == [140, 110.4]
    page.click("#sl-actual")
    assert page.evaluate(PLACE)[0] == page.evaluate("devicePixelRatio")
    page.keyboard.press("f")
    assert page.evaluate(PLACE)[1:] == [160, 120]
    surround = page.get_attribute("#sl-stage", "data-surround")
    page.keyboard.press("b")
    assert page.get_attribute("#sl-stage", "data-surround") != surround
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.sl-compare')).backgroundColor") == "rgba(0, 0, 0, 0)"
    )


def test_every_video_can_stand_on_either_side_and_the_labels_tell_what_differs(desk):
    page = desk
    shown(page, "one", "two")
    assert page.inner_text(".sl-of[data-side=b] span") == "texture 0.5"
    assert page.inner_text(".sl-of[data-side=a] i") == "seam 0.30"
    ids = page.evaluate(f"Object.fromEntries({LIST}.entries.map(({{ name, id }}) => [name, id]))")
    page.select_option("[data-pick=a]", f"{ids['two.mp4']}/unblended")
    page.wait_for_function(f"{LIST}.a.endsWith('/unblended') && {STATE}.frame >= 0", timeout=60_000)
    assert page.inner_text(".sl-of[data-side=a] i") == "seam 1.90"
    assert page.locator(".sl-of[data-side=a] span").is_hidden()
    page.select_option("[data-pick=b]", ids["part.mp4"])
    page.wait_for_function(f"{STATE}.frames === {STOP - FIRST} && {STATE}.frame >= {FIRST}", timeout=60_000)
    assert page.inner_text(".sl-of[data-side=b] span") == f"range {FIRST}–{STOP - 1}"
    assert f"Both show frames {FIRST} to {STOP - 1}" in page.inner_text("#sl-video-line")
    page.select_option("[data-pick=b]", f"{ids['two.mp4']}/unblended")  # that of A: they change places
    page.wait_for_function(f"{LIST}.a === '{ids['part.mp4']}' && {STATE}.frame >= 0", timeout=60_000)


def test_the_timeline_follows_the_videos_and_seeks_them(desk):
    page = desk
    shown(page, "one", "part", 12)
    assert page.evaluate(f"[{PARTS}.dock.state.frame, {PARTS}.dock.state.covered]") == [12, [FIRST, STOP]]
    box = page.locator("#sl-timeline canvas").bounding_box()
    x = box["x"] + 56 + (17 + 0.5) / page.evaluate(f"{PARTS}.dock.state.frames") * (box["width"] - 56)
    page.mouse.click(x, box["y"] + 60)
    at(page, 17)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 60, steps=5)
    page.mouse.up()
    at(page, STOP - 1)  # the last one that both have
    assert page.evaluate(f"{PARTS}.dock.state.frame") == STOP - 1
    page.locator("#sl-timeline").press("Home")
    at(page, FIRST)
    assert page.get_attribute("#sl-view", "data-view") == "renders"
    tip = page.locator(".sl-timeline-tip").bounding_box()
    above = page.locator(".sl-player").bounding_box()
    assert tip["y"] >= above["y"] + above["height"] - 1
    page.keyboard.press("1")
    assert page.evaluate(f"{PARTS}.dock.state.covered") is None
    assert page.evaluate(f"{PARTS}.dock.state.frame === window.seamline.state.shown.frame")


def test_both_play_in_step_to_the_end_and_again(desk):
    page = desk
    shown(page, "one", "part", FIRST)
    page.keyboard.press("<")
    page.keyboard.press("k")
    seen = []
    for _ in range(40):
        seen += page.evaluate(PLAYED, 500)
        frames = [frame for frame, _, _ in seen]
        if any(later < earlier for earlier, later in pairwise(frames)):
            break
    assert any(later < earlier for earlier, later in pairwise(frames))  # it began again
    assert min(frames) >= FIRST
    assert max(frames) <= STOP - 1
    for frame, a, b in seen:
        assert (a, b) == pytest.approx((STEP * frame, STEP * frame), abs=3)
    page.keyboard.press("l")
    page.wait_for_function(f"!{STATE}.playing && {STATE}.frame === {STOP - 1}", timeout=60_000)
    page.click("#sl-compare [data-do=play]")  # from the start again
    page.wait_for_function(f"{STATE}.playing && {STATE}.frame < {STOP - 1}", timeout=60_000)
    page.click("#sl-compare [data-do=play]")
    page.click("#sl-compare [data-do=loop]")
    page.select_option("[data-do=speed]", "2")
    assert page.evaluate(f"[{STATE}.playing, {STATE}.loop, {STATE}.speed]") == [False, True, 2]
    page.locator(".sl-seek").press("Home")
    at(page, FIRST)
    page.click("#sl-compare [data-do=forward]")
    page.click("#sl-compare [data-do=forward]")
    at(page, FIRST + 2)
    page.keyboard.press(",")
    at(page, FIRST + 1)


def test_the_list_tells_renders_apart_and_another_page_sees_what_is_new(desk, videos):
    page = desk
    box = page.locator("#sl-history").bounding_box()
    rows = [row.bounding_box() for row in page.locator("#sl-history li").all()[:3]]
    assert all(row["y"] + row["height"] <= box["y"] + box["height"] for row in rows)
    words = page.locator("#sl-history li .sl-words").all_inner_texts()[:3]
    assert [text.split("\n")[1] for text in words[:2]] == [
        f"range {FIRST}–{STOP - 1}, feather 0, texture 1",
        "texture 0.5",
    ]
    assert len({text.split("\n")[0] for text in words}) == 3
    assert "standard" in words[0]
    colours = page.evaluate("[...document.querySelectorAll('#sl-history li b')].map((b) => getComputedStyle(b).color)")
    assert len(set(colours[:3])) == 3  # not known, poor, good

    other = page.context.new_page()
    other.goto(page.url)
    settled(other)
    other.wait_for_function(f"{LIST}.entries.length >= 3", timeout=30_000)
    made = written(videos, "new", range(WHOLE), time.time(), texture=0.25)
    try:
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        page.wait_for_function(f"{LIST}.entries[0].name === 'new.mp4'", timeout=30_000)
        shown(page, "new", "one")
        row = page.locator("#sl-history li").first
        row.locator("summary").focus()
        page.keyboard.press("Enter")
        for _ in range(4):
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Delete"
        assert page.evaluate("document.activeElement.title")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        page.wait_for_function(f"{LIST}.entries[0].name === 'part.mp4' && {LIST}.a === ''", timeout=30_000)
        assert "deleted" in page.inner_text("#sl-video-line")
        other.evaluate("window.dispatchEvent(new Event('focus'))")
        other.wait_for_function(f"{LIST}.entries[0].name === 'part.mp4'", timeout=30_000)
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def test_what_cannot_be_played_is_told(desk, videos):
    page = desk
    made = written(videos, "broken", range(WHOLE), time.time())
    try:
        made[0].write_bytes(made[0].read_bytes()[:200])
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        page.wait_for_function(f"{LIST}.entries[0].name === 'broken.mp4'", timeout=30_000)
        page.evaluate(f"{PARTS}.renders.choose({LIST}.entries[0].id, {LIST}.entries[1].id)")
        page.wait_for_function("document.getElementById('sl-banner').textContent.includes('broken')", timeout=60_000)
        assert page.locator("#sl-banner").is_visible()
        page.faults[:] = [fault for fault in page.faults if "422" not in fault]  # its thumbnail
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def test_a_new_render_is_seen_beside_the_last_one_that_it_can_be_compared_with(page):
    new = {"id": "new", "sound": "a.wav", "frames": 50, "range": None, "quality": "draft", "settings": {"feather": 3}}
    other = {"feather": 30}
    entries = [
        new,
        {**new, "id": "the same", "quality": "draft"},
        {**new, "id": "other sound", "sound": "b.wav", "settings": other},
        {**new, "id": "other range", "range": [10, 60], "settings": other},
        {**new, "id": "no browser plays it", "quality": "lossless", "settings": other},
        {**new, "id": "it", "settings": other},
        {**new, "id": "older", "settings": {"feather": 10}},
    ]
    found = "async (entries) => (await import('/studio/static/pair.js')).forerunnerOf(entries)?.id ?? ''"
    page.wait_for_function("window.seamline?.labels")
    assert page.evaluate(found, entries) == "it"
    assert page.evaluate(found, entries[:5]) == ""
    assert page.evaluate(found, entries[:1]) == ""
    assert page.evaluate(found, [{**one, "sound": None} for one in entries]) == ""
