"""The whole main job as a person does it: upload, slider, views, render, videos."""

import hashlib
import re
import wave
from base64 import b64encode

import numpy as np
import pytest

STATE = "window.seamline.state"
COMPARE = "window.seamline.parts().compare.state"
SETTLED = f"{STATE}.exact && !{STATE}.pending && {STATE}.header.score !== undefined && !{STATE}.header.old"
VIEWS = ("original", "unblended", "result", "matte", "overlay", "difference", "heat")

DROPPED = """([where, files]) => {
  const carried = new DataTransfer();
  const read = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  for (const [name, text] of files) carried.items.add(new File([read(text)], name));
  const target = document.querySelector(where);
  const how = { bubbles: true, cancelable: true, dataTransfer: carried };
  const send = (kind) => target.dispatchEvent(new DragEvent(kind, how));
  const taken = !send("dragover");
  const lit = getComputedStyle(document.querySelector(".sl-drop-mark")).display !== "none";
  send("drop");
  return [taken, lit];
}"""


def dropped(page, *files, where="#sl-canvas"):
    """Drops (name, content) files; whether they were taken, and whether the mark for videos was lit."""
    return page.evaluate(DROPPED, [where, [(name, b64encode(content).decode()) for name, content in files]])


def settled(page, more="true"):
    page.wait_for_function("window.seamline && window.seamline.state.header", timeout=60_000)
    page.wait_for_function(f"{SETTLED} && ({more})", timeout=60_000)


def picture(page, view):
    """Hash of what the viewer shows in a view."""
    shown = "view => { const v = window.seamline.viewer; v.show(view); v.drawNow(); return v.picture.header.frame; }"
    page.evaluate(shown, view if view != "unblended" else "wipe")
    if view == "unblended":
        page.evaluate("window.seamline.viewer.set({ against: 'unblended', wipe: 1 }); window.seamline.viewer.drawNow()")
    data = page.evaluate("document.getElementById('sl-canvas').toDataURL()")
    page.evaluate("window.seamline.viewer.set({ against: 'original', wipe: 0.5 })")
    return hashlib.sha256(data.encode()).hexdigest()


def close_up(page):
    """Hash of the neck close-up."""
    return hashlib.sha256(page.evaluate("document.getElementById('sl-closeup').toDataURL()").encode()).hexdigest()


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

    before = {view: picture(page, view) for view in VIEWS}
    assert len(set(before.values())) == len(VIEWS)
    page.locator("#sl-expansion_ratio input[type=range]").press("End")
    settled(page, f"{STATE}.shown.settings.expansion_ratio === 1.3")
    after = {view: picture(page, view) for view in VIEWS}
    assert {view for view in VIEWS if before[view] == after[view]} == {"original", "unblended"}

    page.locator("#sl-feather_amount input[type=range]").press("Home")
    settled(page, f"{STATE}.shown.settings.feather_amount === 0")
    assert picture(page, "matte") != after["matte"]

    page.click("#sl-render")
    page.wait_for_function(f"{STATE}.video", timeout=120_000)
    page.wait_for_function(f"{COMPARE}.frame === 0", timeout=30_000)
    assert page.evaluate(f"{COMPARE}.frames") == 30
    page.click("#sl-compare [data-do=play]")
    page.wait_for_function(f"{COMPARE}.frame > 8", timeout=20_000)
    page.click("#sl-compare [data-do=play]")
    assert "Done in" in page.inner_text("#sl-progress")


def replace_sound(page, path):
    """Clear the loaded sound and choose another one."""
    page.click("#sl-audio .icon-button-wrapper button[aria-label='Clear']")
    with page.expect_file_chooser() as chooser:
        page.click("#sl-audio .upload-container")
    chooser.value.set_files(path)


DRAG = """async ([name, values]) => {
  const input = document.querySelector(`#sl-${name} input[type=range]`);
  for (const value of values) {
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    if (Math.random() < 0.3) await new Promise(requestAnimationFrame);
  }
}"""


@pytest.mark.parametrize("method", ["alpha", "multiband"])
def test_the_last_value_wins_after_random_drags(page, method):
    """200 drags over both methods, each of several moves; seed 5."""
    settled(page)
    page.click(f"#sl-compositor label:has-text('{method}')")
    settled(page, f"{STATE}.shown.settings.compositor === '{method}'")
    rng = np.random.default_rng(5)
    for turn in range(100):
        name = ("feather_amount", "expansion_ratio")[int(rng.integers(2))]
        places = rng.integers(0, 31, int(rng.integers(2, 9)))
        values = [int(2 * v) if name == "feather_amount" else round(1 + 0.01 * int(v), 2) for v in places]
        page.evaluate(DRAG, [name, values])
        if turn % 5 == 4:  # what is asked for is shown, whether or not the drags before had come to rest
            settled(page, f"{STATE}.shown.settings.{name} === {values[-1]}")
            assert float(page.input_value(f"#sl-{name} input[type=number]")) == values[-1]


def test_a_drag_is_blended_on_the_page_and_the_exact_pixels_follow(page):
    settled(page)
    slider = page.locator("#sl-feather_amount input[type=range]")
    slider.focus()
    seen = page.evaluate(f"{STATE}.seq")
    page.evaluate("""() => {
      const marked = document.getElementById("sl-mark");
      window.tiers = [];
      new MutationObserver(() => window.tiers.push(marked.textContent)).observe(marked, { childList: true });
    }""")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    settled(page, f"{STATE}.seq > {seen} && {STATE}.shown.settings.feather_amount === 35")
    assert page.evaluate("window.tiers")[:1] == ["draft"]
    assert page.inner_text("#sl-mark") == "exact"
    # The picture is there when the event is over: it waits for no further turn of the browser.
    at_once = """() => {
      const input = document.querySelector("#sl-feather_amount input[type=range]");
      input.value = 20;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      return window.seamline.state.shown.settings.feather_amount;
    }"""
    assert page.evaluate(at_once) == 20
    settled(page, f"{STATE}.shown.settings.feather_amount === 20")
    assert page.evaluate(f"{STATE}.off") <= 2
    assert page.evaluate(f"{STATE}.channel") == ("socket" if page.evaluate("window.seamline.live") else "fetch")


def test_it_works_without_websocket_and_webgl(browser, studio):
    """A page whose browser has neither: everything comes by fetch, and the plain blender follows the hand."""
    address, _ = studio
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.add_init_script("""delete window.WebSocket; const get = HTMLCanvasElement.prototype.getContext;
      HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
        return kind.startsWith("webgl") ? null : get.call(this, kind, ...rest);
      };""")
    page.goto(address)
    settled(page)
    page.locator("#sl-expansion_ratio input[type=range]").press("End")
    settled(page, f"{STATE}.shown.settings.expansion_ratio === 1.3")
    assert page.evaluate(f"{STATE}.channel") == "fetch"
    assert page.evaluate(f"{STATE}.off") <= 2
    assert faults == []
    page.context.close()


def test_keys_choose_views_and_zoom_and_pan_survive_updates(page):
    settled(page)
    page.keyboard.press("4")
    assert page.get_attribute("#sl-view", "data-view") == "matte"
    page.keyboard.press("6")
    page.keyboard.press("]")
    page.wait_for_function("document.getElementById('sl-tag').textContent === 'Result less original, ×16'")
    page.keyboard.press("2")
    stage = page.locator("#sl-stage").bounding_box()
    page.mouse.move(stage["x"] + 300, stage["y"] + 400)
    page.mouse.wheel(0, -500)
    page.mouse.down()
    page.mouse.move(stage["x"] + 250, stage["y"] + 340, steps=3)
    page.mouse.up()
    where = "(() => { const { scale, cx, cy } = window.seamline.viewer.geometry(); return [scale, cx, cy]; })()"
    placed = page.evaluate(where)
    assert placed[0] > 2
    page.locator("#sl-feather_amount input[type=range]").press("End")
    settled(page, f"{STATE}.shown.settings.feather_amount === 60")
    page.locator("#sl-frame input[type=range]").press("ArrowRight")
    settled(page, f"{STATE}.shown.frame === 23")
    assert page.evaluate(where) == placed
    page.keyboard.down("x")
    page.wait_for_function("document.getElementById('sl-tag').textContent === 'Original (x held)'")
    page.keyboard.up("x")
    page.wait_for_function("document.getElementById('sl-tag').textContent === 'Result'")
    page.keyboard.press("f")
    assert page.evaluate(where)[0] < 1.1
    page.keyboard.press("?")
    assert page.locator("#sl-sheet").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#sl-sheet").is_visible()


def test_the_wipe_is_dragged(page):
    settled(page)
    stage = page.locator("#sl-stage").bounding_box()
    line = page.locator("#sl-wipe").bounding_box()
    page.mouse.move(line["x"] + 7, line["y"] + 200)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] / 4, line["y"] + 200, steps=4)
    page.mouse.up()
    assert page.evaluate("window.seamline.viewer.wipe") == pytest.approx(0.25, abs=0.02)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("window.seamline.viewer.wipe") == pytest.approx(0.27, abs=0.02)


def test_a_loop_plays_blended_frames_and_gives_the_frame_back(page, tmp_path):
    settled(page)
    replace_sound(page, speech_file(tmp_path))
    page.wait_for_function("document.querySelector('#sl-what').textContent.includes('30 frames')", timeout=30_000)
    settled(page)
    frame = page.evaluate(f"{STATE}.shown.frame")
    page.keyboard.press("k")
    page.wait_for_function(f"{STATE}.looping && {STATE}.loaded", timeout=90_000)
    numbers = set()
    for _ in range(40):
        numbers.add(page.evaluate("window.seamline.picture.header.frame"))
        page.wait_for_timeout(30)
    assert len(numbers) >= 5
    page.keyboard.press("k")
    settled(page, f"{STATE}.shown.frame === {frame} && !{STATE}.looping")


def test_an_error_dims_the_picture_and_is_told_in_full(page):
    settled(page)
    told = "the clip cannot be read; " * 12
    page.evaluate("text => window.seamline.fail(text)", told)
    assert page.inner_text("#sl-banner").strip() == told.strip()
    assert page.evaluate(
        "document.getElementById('sl-banner').scrollHeight <= document.getElementById('sl-banner').clientHeight"
    )
    assert page.evaluate("Number(getComputedStyle(document.getElementById('sl-canvas')).opacity)") < 0.5
    assert page.inner_text("#sl-mark") == "not this one"
    page.locator("#sl-feather_amount input[type=range]").press("End")
    settled(page, f"{STATE}.shown.settings.feather_amount === 60")
    assert not page.locator("#sl-banner").is_visible()


def test_scrubbing_and_another_base(page):
    settled(page)
    plate = picture(page, "original")
    page.locator("#sl-frame input[type=range]").press("End")
    settled(page, f"{STATE}.shown.frame === 179")
    assert picture(page, "original") != plate
    page.keyboard.press(",")
    settled(page, f"{STATE}.shown.frame === 178")
    page.click("#sl-base input")
    page.get_by_role("option", name="core clips").click()
    page.wait_for_function("document.querySelector('#sl-what').textContent.includes('core clips')", timeout=30_000)
    page.wait_for_function(f"{STATE}.header.clip !== '05,20s talk evening'", timeout=30_000)
    page.wait_for_function("document.querySelector('#sl-say').textContent.includes('Left out')", timeout=30_000)


def test_presets_set_the_controls(page):
    settled(page)
    page.click("#sl-preset input")
    page.get_by_role("option", name="classic").click()
    settled(page, f"{STATE}.shown.settings.colour === 'histogram' && {STATE}.shown.settings.feather_unit === 'px'")
    assert page.locator("#sl-preset.sl-changed").count() == 0
    page.locator("#sl-feather_amount input[type=range]").press("End")
    settled(page, f"{STATE}.shown.settings.feather_amount === 60")
    assert page.locator("#sl-preset.sl-changed").count() == 1
    page.click("#sl-reset")
    settled(page, f"{STATE}.shown.settings.feather_amount === 30 && {STATE}.shown.settings.colour === 'histogram'")
    assert page.locator("#sl-preset.sl-changed").count() == 0


def test_a_text_file_as_sound_is_a_message_and_the_page_goes_on(page, tmp_path):
    settled(page)
    bad = tmp_path / "notes.wav"
    bad.write_text("this is no sound")
    replace_sound(page, bad)
    toast = page.wait_for_selector(".toast-body.error", timeout=30_000)
    assert "Traceback" not in toast.inner_text()
    assert "notes.wav" in toast.inner_text()
    page.wait_for_function("document.querySelector('#sl-what').textContent === 'No speech yet'", timeout=10_000)
    page.wait_for_function("document.querySelector('#sl-blank').innerText.includes('Upload speech or record it')")
    assert "Error" not in page.inner_text(".toast-title")
    assert page.is_visible("#sl-audio .upload-container")
    sound = speech_file(tmp_path)
    assert dropped(page, (sound.name, sound.read_bytes()), where="#sl-audio .upload-container") == [True, False]
    page.wait_for_function("document.querySelector('#sl-what').textContent.includes('30 frames')", timeout=30_000)
    settled(page)
    assert dropped(page, ("notes.txt", b"this is no sound"), where="#sl-audio") == [True, False]
    page.wait_for_function(
        "[...document.querySelectorAll('.toast-body')].some((t) => t.innerText.includes('notes.txt'))"
    )
    settled(page, "document.querySelector('#sl-what').textContent.includes('30 frames')")


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
    assert page.inner_text("#sl-progress").strip() == "Cancelled; nothing was written."


def test_a_render_that_ends_under_a_moving_hand_waits_to_be_looked_at(page):
    settled(page)
    page.click("#sl-range label:has-text('Loop')")
    page.click("#sl-render")
    slider = page.locator("#sl-feather_amount input[type=range]").bounding_box()
    page.mouse.move(slider["x"] + slider["width"] / 2, slider["y"] + slider["height"] / 2)
    page.mouse.down()
    page.wait_for_selector("#sl-tab-compare[data-new]", timeout=120_000)
    assert page.evaluate("window.seamline.viewer.view") == "wipe"
    assert "8 shows it" in page.inner_text("#sl-hint-text")
    page.mouse.up()
    page.keyboard.press("8")
    page.wait_for_function(f"{STATE}.video && {COMPARE}.frames === 25", timeout=30_000)
    assert page.locator("#sl-tab-compare[data-new]").count() == 0


def test_a_sound_that_is_cut_off_is_used_and_told(page, tmp_path):
    settled(page)
    from clips.library import SAMPLE_SPEECH

    whole = SAMPLE_SPEECH.read_bytes()
    (tmp_path / "half.wav").write_bytes(whole[: len(whole) // 2])
    replace_sound(page, tmp_path / "half.wav")
    toast = page.wait_for_selector(".toast-body.warning", timeout=30_000)
    assert "the sound half.wav is damaged" in toast.inner_text()
    settled(page, "document.querySelector('#sl-what').textContent.includes('90 frames')")


def test_help_has_a_place_of_its_own(page):
    """What is told of a control covers no other one."""
    settled(page)
    page.click("#sl-more button")
    for name in ("texture", "adapt", "feather_amount", "render"):
        page.hover(f"#sl-{name}")
        assert len(page.inner_text("#sl-hint-text")) > 20
    page.hover("#sl-expansion_ratio")
    assert "1.0-1.1 tighter, 1.2-1.3 larger" in page.inner_text("#sl-hint-text")
    assert page.locator("#sl-left .info-text:visible").count() == 0


def test_every_control_has_help_that_is_not_cut(page):
    settled(page)
    page.click("#sl-more button")
    for block in page.locator("#sl-controls .block:has(.info-text)").all():
        if block.is_visible():
            block.hover()
            over = page.eval_on_selector("#sl-hint", "hint => hint.scrollHeight - hint.clientHeight")
            assert over <= 0, page.inner_text("#sl-hint-text")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1600, 1000)])
def test_one_screen_and_nothing_cut(page, width, height):
    page.set_viewport_size({"width": width, "height": height})
    settled(page)
    assert page.evaluate(
        "document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth"
    )
    cut = page.evaluate("""() => {
      const parts = "#sl-topbar *, #sl-left button, #sl-centre button, #sl-right *";
      const inside = ({ left, right, bottom }) => left >= -1 && right <= innerWidth + 1 && bottom <= innerHeight + 1;
      return [...document.querySelectorAll(parts)]
        .filter((e) => e.offsetParent && e.offsetWidth)
        .filter((e) => !e.closest(".sl-blank, .sl-compare, .sl-clips, #sl-controls, #sl-history ol"))
        .filter((e) => !inside(e.getBoundingClientRect()))
        .map((e) => e.id || e.className);
    }""")
    assert cut == []
    greys = page.evaluate("""() => [...new Set([...document.querySelectorAll("#sl-topbar, #sl-body, #sl-body *")]
      .map((e) => getComputedStyle(e).backgroundColor))]""")
    for colour in greys:
        red, green, blue = [float(v) for v in re.findall(r"[\d.]+", colour)[:3]]
        assert red == green == blue or (red, green, blue) == (58, 42, 40), (
            colour
        )  # the banner of errors alone is tinted


def test_in_a_smaller_window_the_page_scrolls(page):
    settled(page)
    page.set_viewport_size({"width": 1024, "height": 700})
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [1280, 800]
    page.click("#sl-ask")
    assert page.is_visible("#sl-sheet")


def test_parsing_switch_is_shown_only_where_there_are_masks(page):
    settled(page)
    page.click("#sl-more button")
    page.locator("#sl-texture").wait_for(state="visible")
    assert page.locator("#sl-use_parsing").count() == 0 or not page.locator("#sl-use_parsing").is_visible()


def test_score_comes_with_the_floor_and_the_feather_is_told(page):
    settled(page)
    page.wait_for_function(f"{STATE}.header.floor !== undefined", timeout=60_000)
    settled(page)
    header = page.evaluate(f"{STATE}.header")
    assert 0 < header["floor"] < header["unblended_score"]
    told = page.inner_text("#sl-figures")
    for figure in (header["floor"], header["unblended_score"], *header["sectors"].values()):
        assert f"{figure:.2f}" in told
    assert "times less than the unblended paste" in page.inner_text("#sl-verdict")
    assert f"Feather {header['feather_px']:.0f} px" in page.inner_text("#sl-say")


def test_the_page_says_how_much_texture_is_laid_on(page):
    settled(page)
    assert page.evaluate(f"{STATE}.header.texture_share") == 0
    assert "No texture laid on: the generated skin has as much" in page.inner_text("#sl-say")


def test_the_title_tells_what_runs_the_network(page):
    settled(page)
    assert "The network runs in openvino on cpu, float32" in page.get_attribute("#sl-what", "title")
