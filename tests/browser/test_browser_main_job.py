"""The whole main job as a person does it: upload, slider, matte, render, videos."""

import hashlib
import wave

import numpy as np
import pytest

STATE = "window.seamline.state"
SETTLED = f"{STATE}.seq > 0 && !{STATE}.pending && {STATE}.header.score !== undefined && !{STATE}.header.old"


def settled(page, more="true"):
    page.wait_for_function("window.seamline && window.seamline.state.header", timeout=60_000)
    page.wait_for_function(f"{SETTLED} && ({more})", timeout=60_000)


def picture(page, pane):
    """Hash of what a pane shows."""
    data = page.evaluate(f"document.querySelector('canvas[data-pane={pane}]').toDataURL()")
    return hashlib.sha256(data.encode()).hexdigest()


def speech_file(folder, seconds=1.2):
    """Bursts of a buzz, loud enough to be driven on a single base."""
    t = np.arange(int(16000 * seconds)) / 16000
    sound = 0.3 * np.sign(np.sin(2 * np.pi * 140 * t)) * (np.sin(2 * np.pi * 3 * t) > 0)
    path = folder / "my speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


def test_upload_slider_render_and_compare(page, tmp_path):
    settled(page)
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")

    replace_sound(page, speech_file(tmp_path))
    page.wait_for_function("document.querySelector('#sl-what').textContent.includes('30 frames')", timeout=30_000)
    settled(page)

    before = {pane: picture(page, pane) for pane in ("plate", "matte", "overlay", "result", "closeup", "unblended")}
    page.locator("#sl-expansion_ratio input[type=range]").press("End")
    settled(page, f"{STATE}.shown.settings.expansion_ratio === 1.3")
    after = {pane: picture(page, pane) for pane in before}
    assert {pane for pane in before if before[pane] != after[pane]} == {"matte", "overlay", "result", "closeup"}

    page.locator("#sl-feather_amount input[type=range]").press("Home")
    settled(page, f"{STATE}.shown.settings.feather_amount === 0")
    assert picture(page, "matte") != after["matte"]

    page.click("#sl-render")
    page.wait_for_function(f"{STATE}.video", timeout=120_000)
    page.wait_for_function(
        "['a', 'b'].every((v) => document.getElementById('sl-video-' + v).readyState >= 2)", timeout=30_000
    )
    durations = page.evaluate("['a', 'b'].map((v) => document.getElementById('sl-video-' + v).duration)")
    assert durations == pytest.approx([1.2, 1.2], abs=0.041)
    page.click("#sl-play")
    page.wait_for_function("document.getElementById('sl-video-a').currentTime > 0.3", timeout=20_000)
    page.click("#sl-play")
    assert "Done in" in page.inner_text("#sl-progress")


def replace_sound(page, path):
    """Clear the loaded sound and upload another one."""
    page.click("#sl-audio .icon-button-wrapper button[aria-label='Clear']")
    page.wait_for_selector("#sl-audio input[type=file]", state="attached")
    page.set_input_files("#sl-audio input[type=file]", path)


def test_the_last_value_wins(page):
    settled(page)
    slider = page.locator("#sl-feather_amount input[type=range]")
    slider.focus()
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    settled(page, f"{STATE}.shown.settings.feather_amount === 47")


def test_scrubbing_and_another_base(page):
    settled(page)
    plate = picture(page, "plate")
    page.locator("#sl-frame input[type=range]").press("End")
    settled(page, f"{STATE}.shown.frame === 179")
    assert picture(page, "plate") != plate
    page.keyboard.press(",")
    settled(page, f"{STATE}.shown.frame === 178")
    page.click("#sl-base input")
    page.get_by_role("option", name="core clips").click()
    page.wait_for_function("document.querySelector('#sl-what').textContent.includes('core clips')", timeout=30_000)
    page.wait_for_function(f"{STATE}.header.clip !== '05,20s talk evening'", timeout=30_000)
    assert "Left out" in page.inner_text("#sl-say")


def test_presets_set_the_controls(page):
    settled(page)
    page.click("#sl-preset input")
    page.get_by_role("option", name="classic").click()
    settled(page, f"{STATE}.shown.settings.colour === 'histogram' && {STATE}.shown.settings.feather_unit === 'px'")


def test_a_text_file_as_sound_is_a_message_and_the_page_goes_on(page, tmp_path):
    settled(page)
    bad = tmp_path / "notes.wav"
    bad.write_text("this is no sound")
    replace_sound(page, bad)
    toast = page.wait_for_selector(".toast-body.error", timeout=30_000)
    assert "Traceback" not in toast.inner_text()
    assert "notes.wav" in toast.inner_text()
    page.wait_for_function("document.querySelector('#sl-what').textContent === 'No speech yet'", timeout=10_000)
    replace_sound(page, speech_file(tmp_path))
    page.wait_for_function("document.querySelector('#sl-what').textContent.includes('30 frames')", timeout=30_000)
    settled(page)
    # Gradio's own player writes this one to the console for a file that is no sound.
    page.faults[:] = [fault for fault in page.faults if "Waveform load error" not in fault]


def test_cancel_stops_the_render(page, studio):
    settled(page)
    _, workspace = studio
    finished = set((workspace / "renders").glob("*")) if (workspace / "renders").exists() else set()
    page.click("#sl-render")
    page.wait_for_function(
        "document.querySelector('#sl-progress').textContent.includes('of 180 frames')", timeout=30_000
    )
    page.click("#sl-cancel")
    page.wait_for_function("document.querySelector('#sl-progress').textContent.includes('Cancelled')", timeout=5_000)
    page.wait_for_function("!document.querySelector('#sl-render').disabled", timeout=5_000)
    page.wait_for_timeout(1000)
    assert set((workspace / "renders").glob("*")) == finished


def test_only_the_control_under_the_hand_shows_its_help(page):
    settled(page)
    page.click("#sl-more button")
    page.locator("#sl-texture").wait_for(state="visible")
    assert page.locator("#sl-left .info-text:visible").count() == 0
    page.hover("#sl-texture")
    assert page.locator("#sl-left .info-text:visible").count() == 1
    assert "stubble" in page.locator("#sl-left .info-text:visible").inner_text()


def test_parsing_switch_is_shown_only_where_there_are_masks(page):
    settled(page)
    page.click("#sl-more button")
    page.locator("#sl-texture").wait_for(state="visible")
    assert page.locator("#sl-use_parsing").count() == 0 or not page.locator("#sl-use_parsing").is_visible()


def test_score_comes_with_the_floor_and_the_feather_is_told(page):
    settled(page)
    for _ in range(30):
        if "Floor" in page.inner_text("#sl-score"):
            break
        seen = page.evaluate(f"{STATE}.seq")
        page.locator("#sl-feather_amount input[type=range]").press("ArrowRight")
        settled(page, f"{STATE}.seq > {seen}")
    assert "Floor" in page.inner_text("#sl-score")
    header = page.evaluate(f"{STATE}.header")
    assert 0 < header["floor"] < header["unblended_score"]
    assert f"Feather {header['feather_px']:.0f} px" in page.inner_text("#sl-say")


def test_the_page_says_how_much_texture_is_laid_on(page):
    settled(page)
    assert page.evaluate(f"{STATE}.header.texture_share") == 0
    assert "No texture laid on: the generated skin has as much" in page.inner_text("#sl-say")


def test_the_title_tells_what_runs_the_network(page):
    settled(page)
    assert "The network runs in openvino on cpu, float32" in page.get_attribute("#sl-what", "title")
