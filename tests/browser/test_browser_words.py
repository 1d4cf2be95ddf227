"""What the page says: while it opens, where nothing is generated or can act, and under each control."""

import re

import pytest
from conftest import CHROMIUM, FLAGS
from test_browser_main_job import STATE, settled, speech_file

STAGE = "document.getElementById('sl-view').dataset.stage"
HINT = "document.getElementById('sl-hint-text').textContent"
WHAT = "document.getElementById('sl-what').textContent"
NO_SPEECH = "Upload speech or record it"


def press_held(page, selector):
    """Press what cannot act; what the page answers."""
    press = "document.querySelector(selector).dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    return page.evaluate(f"(selector) => {{ {press}; return {HINT}; }}", selector)


def test_the_first_seconds_show_the_plate_and_the_steps(browser, studio):
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(120_000)
    held, free = [], []
    page.add_init_script("delete window.WebSocket")  # so that the first picture can be held back
    page.route("**/studio/preview", lambda route: route.continue_() if free else held.append(route))
    page.goto(studio[0])
    page.wait_for_function("document.querySelector('#sl-steps [data-state=now]')?.textContent.includes('first frame')")
    page.wait_for_function("document.getElementById('sl-first').naturalWidth > 0", timeout=60_000)
    assert page.evaluate(STAGE) == "waiting"
    assert page.inner_text("#sl-blank-words") == "Plate only"
    assert page.inner_text("#sl-steps").splitlines()[:2] == ["Loading LS1", "Listening to the speech"]
    assert "no picture yet" in press_held(page, "#sl-face")
    free.append(True)
    for route in held:
        route.continue_()
    settled(page)
    assert page.evaluate(STAGE) == "picture"
    assert page.inner_text("#sl-latency") == ""  # no hand has moved yet
    page.locator("#sl-expansion_ratio input[type=range]").press("End")
    page.wait_for_function("/^[0-9]+ ms$/.test(document.getElementById('sl-latency').textContent)", timeout=60_000)
    page.context.close()


def test_what_cannot_act_says_why(page):
    settled(page)
    assert press_held(page, "#sl-cancel") == "Nothing is being rendered."
    page.locator("#sl-timeline").press("Home")
    settled(page, f"{STATE}.shown.frame === 0")
    assert press_held(page, "#sl-prev") == "This is the first frame."
    page.keyboard.press("1")
    page.keyboard.press("w")
    assert "works in Renders" in page.evaluate(HINT)

    page.click("#sl-audio button[aria-label='Clear']")
    page.wait_for_function(f"{STAGE} === 'empty'", timeout=30_000)
    for control in ("keep", "render", "link", "roll", "prev", "next"):
        assert NO_SPEECH in press_held(page, f"#sl-{control}")
        assert NO_SPEECH in page.get_attribute(f"#sl-{control}", "title")
    assert not page.evaluate("document.getElementById('sl-presets-sheet').open")
    for key in "kn":
        page.keyboard.press(key)
        assert NO_SPEECH in page.evaluate(HINT)
    assert not page.evaluate(f"{STATE}.looping")
    assert page.inner_text("#sl-verdict") == "Nothing is open."


def test_a_frame_of_silence_is_the_plate_and_says_so(page):
    settled(page)
    page.click("#sl-base input")
    page.get_by_role("option", name="core clips").click()
    page.wait_for_function(f"{WHAT}.includes('core clips:')", timeout=60_000)
    settled(page)
    token = "JSON.parse(sessionStorage.getItem('seamline-session')).token"
    cuts = page.evaluate(
        f"fetch('/studio/timeline/' + {token}).then((answer) => answer.json()).then((told) => told.cuts)"
    )
    quiet = next(cut["start"] + 2 for cut in cuts if not cut["driven"])
    page.evaluate(
        """frame => { const input = document.querySelector("#sl-frame input[type=range]"); input.value = frame;
        input.dispatchEvent(new Event("input", { bubbles: true })); }""",
        quiet,
    )
    page.wait_for_function(f"{STATE}.exact && {STATE}.shown.frame === {quiet}", timeout=60_000)
    assert page.inner_text("#sl-tag") == "Plate: nothing is generated in this frame"
    assert page.inner_text("#sl-tag-right") == ""
    assert not page.locator("#sl-wipe").is_visible()
    assert page.inner_text("#sl-close-name") == "Plate, held on the chin"
    assert "Nothing is generated" in page.inner_text("#sl-verdict")
    page.keyboard.press("4")
    page.wait_for_function("document.getElementById('sl-tag').textContent.startsWith('Matte: nothing')")


def test_a_poor_score_comes_with_a_setting_that_was_tried(page):
    settled(page)
    assert not page.locator("#sl-advice").is_visible()
    page.click("#sl-compositor label:has-text('hard')")
    settled(page, f"{STATE}.shown.settings.compositor === 'hard'")
    page.wait_for_function("document.getElementById('sl-advice-words').textContent.includes('Method alpha gives')")
    assert page.evaluate(f"{STATE}.header.sectors.chin") is None
    assert page.inner_text("#sl-figures tr:has-text('Chin')").split() == ["Chin", "–"]
    promised = float(re.search(r"gives ([\d.]+)\.", page.inner_text("#sl-advice-words"))[1])
    page.click("#sl-advice-use")
    settled(page, f"{STATE}.shown.settings.compositor === 'alpha'")
    assert page.evaluate(f"{STATE}.header.score") == pytest.approx(promised, abs=0.006)
    assert not page.locator("#sl-advice").is_visible()


def test_one_rule_colours_every_score(page):
    settled(page)
    grade = "(args) => import('/studio/static/inspect.js').then((rule) => rule.scoreGrade(...args))"
    for args, expected in (
        ([0.2, 1.9], "good"), ([0.6, 1.9], "fair"), ([1.2, 1.9], "poor"), ([0.3, 0.3], "fair"),
        ([0.3, 0.3, 0.29], "good"), ([1.2, 1.9, 1.15], "good"), ([0.2], "good"), ([None], "none"),
    ):  # fmt: skip
        assert page.evaluate(grade, args) == expected, args
    assert page.inner_text("#sl-score-rule").split("\n") == ["below 0.5", "below 1", "above"]
    assert "no lower than the paste" in page.text_content("#sl-rule")
    page.wait_for_function(f"window.seamline.parts().dock.state.done && {STATE}.header.floor", timeout=60_000)
    colours = page.evaluate(
        """async () => { const { scoreColour } = await import("/studio/static/inspect.js");
        const { frame, score, unblended_score, floor } = window.seamline.state.header;
        return [window.seamline.parts().dock.colourAt(frame), scoreColour(score, unblended_score, floor)]; }"""
    )
    assert colours[0] == colours[1]


def test_the_speech_stays_until_another_one_is_read(page, tmp_path):
    settled(page)
    before = page.evaluate(WHAT)
    with page.expect_file_chooser() as chooser:
        page.click("#sl-replace")
    assert page.evaluate(WHAT) == before
    bad = tmp_path / "notes.wav"
    bad.write_text("this is no sound")
    chooser.value.set_files(bad)
    toast = page.wait_for_selector(".toast-body.error", timeout=60_000)
    assert "notes.wav cannot be read" in toast.inner_text()
    page.wait_for_function(f"{WHAT} === {before!r}", timeout=30_000)
    page.locator("#sl-feather_amount input[type=range]").press("End")
    settled(page, f"{STATE}.shown.settings.feather_amount === 60")
    with page.expect_file_chooser() as chooser:
        page.click("#sl-replace")
    chooser.value.set_files(speech_file(tmp_path))
    page.wait_for_function(f"{WHAT}.includes(': 30 frames')", timeout=60_000)
    settled(page)
    assert page.inner_text("#sl-audio .timestamps").split()[-1] == "0:01"


def test_speech_is_recorded_and_the_old_one_stays_until_then(browser, studio):
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    chromium = browser.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, *fake])
    try:
        page = chromium.new_context(permissions=["microphone"]).new_page()
        page.set_default_timeout(120_000)
        page.goto(studio[0])
        settled(page)
        page.click("#sl-record")
        assert ": 180 frames" in page.evaluate(WHAT)
        page.click("#sl-recorder .record-button")
        page.wait_for_function("document.querySelector('#sl-recorder .duration')?.textContent === '0:01'")
        page.click("#sl-recorder .stop-button")
        page.wait_for_function(f"{WHAT}.includes(' frames') && !{WHAT}.includes(': 180 frames')", timeout=60_000)
        settled(page)
        assert page.locator("#sl-audio").is_visible()
        assert not page.locator("#sl-recorder").is_visible()
    finally:
        chromium.close()


FOCUSED = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  const ring = e.matches("fieldset input") ? e.closest("label") : e;
  for (const one of [ring, e]) one.style.transition = "none";
  const { outlineStyle, outlineColor } = getComputedStyle(ring);
  const hint = document.getElementById("sl-hint-text").textContent;
  return { name: e.id || e.closest("[id]")?.id, outlineStyle, outlineColor, hint };
}"""


def test_tab_reaches_every_control_with_a_grey_ring_and_its_help(page):
    settled(page)
    page.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(120):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            break
        seen.append(focused["name"])
        assert focused["outlineStyle"] == "solid", focused
        assert len(set(re.findall(r"\d+", focused["outlineColor"])[:3])) == 1, focused
        assert not focused["hint"].startswith("Point at a control"), focused
    ordered = [
        "sl-model", "sl-base", "sl-link", "sl-ask", "sl-audio", "sl-replace", "sl-record", "sl-expansion_ratio",
        "sl-feather_amount", "sl-compositor", "sl-colour", "sl-more", "sl-preset", "sl-keep", "sl-reset", "sl-quality",
        "sl-range", "sl-render", "sl-tabs", "sl-wipe", "sl-against", "sl-fit", "sl-outline", "sl-prev", "sl-roll",
        "sl-frame", "sl-timeline", "sl-times",
    ]  # fmt: skip
    places = [seen.index(name) for name in ordered]
    assert places == sorted(places)


def test_the_tabs_fit_and_more_is_whole(page):
    settled(page)
    strip, tabs = page.locator(".sl-strip").bounding_box(), page.locator("#sl-tabs").bounding_box()
    assert tabs["x"] + tabs["width"] <= strip["x"] + strip["width"]
    column, more = page.locator("#sl-controls").bounding_box(), page.locator("#sl-more").bounding_box()
    assert more["y"] + more["height"] <= column["y"] + column["height"]
    page.click("#sl-more button")
    page.locator("#sl-side_share").wait_for(state="visible")
    page.wait_for_function(
        """() => { const rows = document.getElementById("sl-controls").getBoundingClientRect();
        const last = document.getElementById("sl-side_share").getBoundingClientRect();
        return last.bottom <= rows.bottom + 1 && last.top >= rows.top - 1; }""",
        timeout=30_000,
    )
    page.keyboard.press("7")
    page.wait_for_function("document.getElementById('sl-tag').textContent === 'Heat'")
    header = page.evaluate(f"{STATE}.header")
    assert page.inner_text("#sl-frame-name") == f"frame {header['frame']}, {'×'.join(map(str, header['size']))}"
