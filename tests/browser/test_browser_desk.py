"""Timeline, history and comparison of renders, presets of one's own, links, reload, clips."""

import pytest
from test_browser_main_job import COMPARE, STATE, replace_sound, settled, speech_file

PARTS = "window.seamline.parts()"


def rendered(page, count):
    page.click("#sl-render")
    page.wait_for_function(f"{PARTS}.renders.state.entries.length === {count}", timeout=120_000)


@pytest.fixture
def short(page, tmp_path):
    """The page with a sound of 30 frames."""
    settled(page)
    replace_sound(page, speech_file(tmp_path))
    page.wait_for_function("document.querySelector('#sl-what').textContent.includes('30 frames')", timeout=30_000)
    settled(page)
    return page


def test_timeline_measures_scrubs_and_leads_to_the_worst_frame(short):
    page = short
    page.wait_for_function(f"{PARTS}.dock.state.done && {PARTS}.dock.state.thumbs > 3", timeout=60_000)
    state = page.evaluate(f"{PARTS}.dock.state")
    assert (state["frames"], state["measured"]) == (30, 30)
    page.keyboard.press("n")
    settled(page, f"{STATE}.shown.frame === {state['worst'][0]}")
    assert page.evaluate(f"{STATE}.header.score") == pytest.approx(
        max(page.evaluate(f"[{state['worst'][0]}].map(() => {STATE}.header.score)")), abs=1e-6
    )
    box = page.locator("#sl-timeline canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    settled(page, f"{STATE}.shown.frame === 29")
    page.locator("#sl-timeline").press("Home")
    settled(page, f"{STATE}.shown.frame === 0")


def test_two_renders_are_compared_restored_and_deleted(short):
    page = short
    before = page.evaluate(f"{PARTS}.renders.state.entries.length")
    rendered(page, before + 1)
    page.wait_for_function(f"{COMPARE}.frame === 0", timeout=30_000)
    page.keyboard.press("1")
    page.locator("#sl-feather_amount input[type=range]").press("Home")
    settled(page, f"{STATE}.shown.settings.feather_amount === 0")
    rendered(page, before + 2)
    page.wait_for_function(f"{COMPARE}.frame === 0", timeout=30_000)

    page.click("#sl-history li:nth-child(2) .sl-pick:nth-of-type(2)")
    page.wait_for_function(f"{PARTS}.renders.state.b !== '' && {COMPARE}.frame === 0", timeout=30_000)
    for frame in (17, 18, 3):
        page.evaluate(f"{PARTS}.compare.seek({frame})")
        page.wait_for_function(f"{COMPARE}.frame === {frame}", timeout=10_000)
    page.keyboard.press("w")
    assert page.evaluate(f"{COMPARE}.mode") == "wipe"

    page.click("#sl-history li:nth-child(2) .sl-menu summary")
    page.click("#sl-history li:nth-child(2) .sl-menu button:has-text('Use its settings')")
    page.keyboard.press("1")
    settled(page, f"{STATE}.shown.settings.feather_amount === 30")

    page.click("#sl-history li:nth-child(1) .sl-menu summary")
    page.click("#sl-history li:nth-child(1) .sl-danger")
    page.click("#sl-history li:nth-child(1) .sl-danger")
    page.wait_for_function(f"{PARTS}.renders.state.entries.length === {before + 1}", timeout=10_000)


def test_the_loop_alone_is_rendered(short):
    page = short
    count = page.evaluate(f"{PARTS}.renders.state.entries.length")
    page.click("#sl-range label:has-text('loop')")
    rendered(page, count + 1)
    entry = page.evaluate(f"{PARTS}.renders.state.entries[0]")
    assert entry["frames"] == 25
    assert entry["range"][1] - entry["range"][0] == 25


def test_presets_are_kept_found_again_and_deleted(page, studio):
    settled(page)
    page.locator("#sl-feather_amount input[type=range]").press("Home")
    settled(page, f"{STATE}.shown.settings.feather_amount === 0")
    page.click("#sl-keep")
    page.fill("#sl-presets-sheet input[name=name]", "sharp edge")
    page.click("#sl-presets-sheet [data-do=save]")
    page.wait_for_function(f"{PARTS}.presets.state.message === 'Saved.'", timeout=10_000)
    page.wait_for_function("document.querySelector('#sl-preset input').value === 'sharp edge'", timeout=10_000)
    assert (studio[1] / "presets" / "sharp edge.yaml").is_file()
    page.fill("#sl-presets-sheet input[name=name]", "classic")
    page.click("#sl-presets-sheet [data-do=save]")
    page.wait_for_function(f"{PARTS}.presets.state.message.includes('under another name')", timeout=10_000)
    page.faults[:] = [fault for fault in page.faults if "422" not in fault]
    page.fill("#sl-presets-sheet input[name=name]", "sharp edge")
    page.click("#sl-presets-sheet [data-do=delete]")
    page.wait_for_function(f"{PARTS}.presets.state.message === 'Deleted.'", timeout=10_000)
    assert not (studio[1] / "presets" / "sharp edge.yaml").exists()


def test_a_reload_keeps_sound_settings_and_frame(short):
    page = short
    page.click("#sl-base input")
    page.get_by_role("option", name="07,20s talk").click()
    settled(page, f"{STATE}.header.clip === '07,20s talk'")
    page.locator("#sl-expansion_ratio input[type=range]").press("End")
    settled(page, f"{STATE}.shown.settings.expansion_ratio === 1.3")
    page.evaluate("document.querySelector('#sl-timeline').focus()")
    page.keyboard.press("End")
    settled(page, f"{STATE}.shown.frame === 29")
    page.wait_for_function("location.search.includes('frame=29')", timeout=10_000)
    page.reload()
    settled(page, f"{STATE}.shown.settings.expansion_ratio === 1.3 && {STATE}.shown.frame === 29")
    page.wait_for_timeout(1500)  # whatever else the page's events would open
    assert "07,20s talk: 30 frames" in page.inner_text("#sl-what")
    assert page.evaluate(f"{STATE}.shown.frame") == 29


def test_a_link_opens_base_frame_and_settings_in_a_fresh_browser(page, studio):
    page.goto(f"{studio[0]}/?feather_amount=12&model=LS1&base=07%2C20s+talk&frame=50")
    settled(page, f"{STATE}.shown.frame === 50 && {STATE}.shown.settings.feather_amount === 12")
    page.wait_for_timeout(1500)
    assert page.evaluate(f"{STATE}.header.clip") == "07,20s talk"
    page.reload()
    settled(page, f"{STATE}.shown.frame === 50 && {STATE}.header.clip === '07,20s talk'")
    page.goto(f"{studio[0]}/?feather_amount=99")
    page.wait_for_selector(".toast-body.error")
    assert "feather_amount" in page.inner_text(".toast-body.error")
