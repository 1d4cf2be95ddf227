"""Contact sheet and auto-tune, as a person uses them: look, choose by hand or by keys, take the values."""

import pytest
from test_browser_main_job import STATE, replace_sound, settled, speech_file

SWEEP = "window.seamline.parts().sweeps.state"
TUNE = "window.seamline.parts().sweeps.tune"
DRAWN = f"!{SWEEP}.busy && !{SWEEP}.stale && {SWEEP}.best >= 0"
FULL = "document.documentElement.scrollHeight <= innerHeight && document.querySelector('#sl-sweep').scrollHeight <= "
FULL += "document.querySelector('#sl-sweep').clientHeight"


def drawn(page, more="true"):
    page.wait_for_function(f"{DRAWN} && ({more})", timeout=120_000)
    return page.evaluate(SWEEP)


def centre_of(page, tile):
    """The pixels in the middle of a tile."""
    return page.evaluate(
        """number => {
          const canvas = document.querySelectorAll(".sl-sweep-tile canvas")[number];
          return [...canvas.getContext("2d").getImageData(canvas.width / 2 - 20, canvas.height / 2 - 20, 40, 40).data];
        }""",
        tile,
    )


def shown_there(page, tile):
    """The same part of the frame as the viewer has it."""
    return page.evaluate(
        """number => {
          const { picture, viewer } = window.seamline;
          const canvas = document.querySelectorAll(".sl-sweep-tile canvas")[number];
          const [x, y] = window.seamline.parts().sweeps.state.place;
          return [...picture.of("result", viewer).getContext("2d")
            .getImageData(x + canvas.width / 2 - 20, y + canvas.height / 2 - 20, 40, 40).data];
        }""",
        tile,
    )


def test_a_tile_is_looked_at_and_taken(page):
    settled(page)
    page.keyboard.press("t")
    first = drawn(page)
    assert (first["drawn"], first["total"], first["frame"]) == (25, 25, page.evaluate(f"{STATE}.shown.frame"))
    assert page.evaluate(FULL)
    assert page.locator(".sl-sweep-best").count() == 1
    assert page.locator(".sl-sweep-tile[aria-current]").inner_text().endswith("set")  # 1.15 and 30 are on the sheet

    page.hover(".sl-sweep-tile >> nth=3")
    assert page.inner_text("#sl-close-name") == "Expansion 1, Feather 45"
    assert page.inner_text(".sl-sweep-tip").startswith("Expansion 1, Feather 45: seam ")
    page.click(".sl-sweep-tile >> nth=3")
    settled(page, f"{STATE}.shown.settings.feather_amount === 45 && {STATE}.shown.settings.expansion_ratio === 1")
    assert page.input_value("#sl-feather_amount input[type=number]") == "45"
    assert drawn(page)["drawn"] == 25  # the sheet stays: it does not depend on what was swept
    assert page.locator(".sl-sweep-tile").nth(3).get_attribute("aria-current") == ""
    assert page.evaluate(f"{STATE}.header.score") == pytest.approx(
        float(page.locator(".sl-sweep-tile").nth(3).inner_text().split()[0]), abs=0.006
    )
    assert centre_of(page, 3) == shown_there(page, 3)


def test_a_tile_is_chosen_by_keys(page):
    settled(page)
    page.keyboard.press("t")
    drawn(page)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"{SWEEP}.at") == 6
    page.keyboard.press("Enter")
    settled(page, f"{STATE}.shown.settings.feather_amount === 15 && {STATE}.shown.settings.expansion_ratio === 1.08")


def test_other_settings_and_frames_are_followed(page):
    settled(page)
    page.keyboard.press("t")
    drawn(page)
    page.click("#sl-sweep [data-count='3']")
    drawn(page, f"{SWEEP}.total === 9")
    page.select_option("#sl-sweep [data-axis=across]", "colour")
    drawn(page, f"{SWEEP}.total === 15")
    page.select_option("#sl-sweep [data-axis=down]", "colour")  # the two change places
    state = drawn(page, f"{SWEEP}.across === 'expansion_ratio'")
    assert (state["down"], state["total"]) == ("colour", 15)
    page.keyboard.press("Escape")
    frame = state["frame"]
    page.click("#sl-next")
    page.click("#sl-next")
    drawn(page, f"{SWEEP}.frame === {frame + 2}")
    page.click("#sl-compositor label:has-text('hard')")
    assert "Expansion changes nothing here." in drawn(page, f"{STATE}.shown.settings.compositor === 'hard'")["message"]
    assert page.evaluate(f"{STATE}.shown.settings.colour") == "membrane"  # nothing was taken


def test_a_sheet_can_be_stopped(page):
    settled(page)
    page.keyboard.press("t")
    page.click("#sl-sweep [data-count='5']")
    page.wait_for_function(f"{SWEEP}.drawn > 0", timeout=60_000)
    if page.evaluate(f"{SWEEP}.busy"):
        page.keyboard.press("Escape")
    page.wait_for_function(f"!{SWEEP}.busy", timeout=60_000)
    page.click(".sl-sweep-go")
    drawn(page, f"{SWEEP}.drawn === 25")


def test_without_a_blend_the_sheet_says_why(page, studio):
    page.goto(f"{studio[0]}/?model=LS1&base=core+clips&frame=85")
    page.wait_for_function("window.seamline && window.seamline.state.header", timeout=60_000)
    page.wait_for_function(f"{STATE}.exact && {STATE}.shown.frame === 85", timeout=60_000)
    assert not page.evaluate(f"{STATE}.header.driven")
    page.keyboard.press("t")
    page.wait_for_function(f"{SWEEP}.error", timeout=60_000)
    assert "Frame 85 is not blended" in page.inner_text(".sl-sweep-blank")
    assert "choose a frame with speech" in page.inner_text(".sl-sweep-blank")
    page.click("#sl-audio .icon-button-wrapper button[aria-label='Clear']")
    page.wait_for_function(f"{SWEEP}.error.startsWith('Upload speech')", timeout=60_000)
    page.click("#sl-sweep [data-kind=tune]")
    page.wait_for_function(f"{TUNE}.message.startsWith('Upload speech')", timeout=60_000)


def test_candidates_loop_beside_the_present_and_are_taken_by_a_click(page, tmp_path):
    settled(page)
    replace_sound(page, speech_file(tmp_path))
    page.wait_for_function("document.querySelector('#sl-what').textContent.includes('30 frames')", timeout=60_000)
    settled(page)
    page.keyboard.press("t")
    page.click("#sl-sweep [data-kind=tune]")
    page.click(".sl-tune-go")
    page.wait_for_function(f"{TUNE}.busy", timeout=10_000)
    page.click(".sl-tune-go")
    page.wait_for_function(f"!{TUNE}.busy && {TUNE}.message.startsWith('Stopped')", timeout=60_000)
    page.click(".sl-tune-go")
    page.wait_for_function(f"!{TUNE}.busy && {TUNE}.found && {TUNE}.drawn === {TUNE}.frames", timeout=180_000)
    found = page.evaluate(f"{TUNE}.found")
    assert [one["name"] for one in found["candidates"]] == ["tight", "balanced", "soft"]
    assert page.evaluate(FULL)
    shown = page.evaluate(f"{TUNE}.shown")
    page.wait_for_function(f"{TUNE}.shown !== {shown}", timeout=10_000)  # it plays
    assert page.evaluate(f"{STATE}.shown.settings.feather_amount") == 30  # nothing is taken by itself

    soft = found["candidates"][2]["values"]
    page.click(".sl-tune-tile[data-name=soft]")
    settled(page, f"{STATE}.shown.settings.expansion_ratio === {soft['expansion_ratio']}")
    assert page.evaluate(f"{STATE}.shown.settings.feather_amount") == soft["feather_amount"]
    page.wait_for_selector(".sl-tune-tile[data-name=soft][aria-current]")
    assert page.inner_text(".sl-tune-tile[data-name=present]").startswith("Before expansion 1.15, feather 30")

    page.click("#sl-compositor label:has-text('multiband')")
    page.wait_for_function(f"{TUNE}.stale", timeout=30_000)
    assert page.is_disabled(".sl-tune-tile[data-name=tight]")
    page.click("#sl-compositor label:has-text('alpha')")
    page.wait_for_function(f"!{TUNE}.stale", timeout=30_000)
    page.click(".sl-tune-tile[data-name=present]")
    settled(page, f"{STATE}.shown.settings.expansion_ratio === 1.15 && {STATE}.shown.settings.feather_amount === 30")
