"""Steps back, slots A and B, what a reload brings back, and the recipe of a dropped video."""

import json

import pytest
from test_browser_main_job import SETTLED, STATE, dropped, settled

from blending import BlendSettings

STEPS = "window.seamline.parts().steps.state"
DROP = "window.seamline.parts().drop.state"
FEATHER = "#sl-feather_amount input"


def steps(page, past, future, more="true"):
    """Waits until the last gesture is a step and the picture is exact."""
    settled(page, f"!{STEPS}.open && {STEPS}.past === {past} && {STEPS}.future === {future} && ({more})")


def shows(name, value):
    return f"{STATE}.shown.settings.{name} === {value!r}"


def test_each_gesture_is_one_step_back_and_forth(page):
    settled(page)
    assert page.is_disabled("#sl-undo [data-do=undo]")
    box = page.locator(f"{FEATHER}[type=range]").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=12)
    page.keyboard.press("Control+z")  # a hand that drags is left alone
    page.mouse.move(box["x"] + box["width"] - 1, middle, steps=6)
    page.mouse.up()
    steps(page, 1, 0, shows("feather_amount", 60))
    page.click("#sl-compositor label:has-text('multiband')")
    steps(page, 2, 0, shows("compositor", "multiband"))
    page.click("#sl-preset input")
    page.get_by_role("option", name="classic").click()
    steps(page, 3, 0, shows("colour", "histogram"))
    page.fill(f"{FEATHER}[type=number]", "44")
    page.keyboard.press("Control+z")
    steps(page, 3, 1, shows("feather_amount", 30))
    page.keyboard.press("Control+y")
    steps(page, 4, 0, shows("feather_amount", 44))

    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    steps(page, 2, 2, f"{shows('compositor', 'multiband')} && {shows('feather_amount', 60)}")
    page.click("#sl-undo [data-do=undo]")
    page.click("#sl-undo [data-do=undo]")
    steps(page, 0, 4)
    assert page.evaluate(f"{STATE}.shown.settings") == BlendSettings().model_dump()
    page.wait_for_function("document.querySelector('#sl-compositor input:checked').value === 'alpha'")
    page.wait_for_function("document.querySelector('#sl-colour input').value === 'membrane'")
    assert (page.input_value(f"{FEATHER}[type=number]"), page.input_value(f"{FEATHER}[type=range]")) == ("30", "30")
    page.keyboard.press("Control+Shift+z")
    steps(page, 1, 3, shows("feather_amount", 60))
    page.locator(f"{FEATHER}[type=range]").press("Home")
    steps(page, 2, 0, shows("feather_amount", 0))
    assert page.is_disabled("#sl-undo [data-do=redo]")


def test_the_history_is_bounded_and_a_text_keeps_its_own_undo(page):
    settled(page)
    lengths = page.evaluate("""async () => {
      const { Steps } = await import("/studio/static/undo.js");
      const steps = new Steps({ n: 0 });
      for (let n = 1; n <= 500; n += 1) { steps.add({ n }); steps.add({ n }); }
      const past = steps.past.length;
      while (steps.back());
      return [past, steps.present.n, steps.future.length];
    }""")
    assert lengths == [100, 400, 100]
    page.locator(f"{FEATHER}[type=range]").press("Home")
    steps(page, 1, 0)
    page.click("#sl-keep")
    page.fill("#sl-presets-sheet input[name=name]", "some name")
    page.keyboard.press("Control+z")
    assert page.evaluate(f"{STEPS}.past") == 1


def test_slots_flip_at_once_and_keep_their_own_steps(page):
    settled(page)
    assert page.is_disabled("#sl-undo [data-do=copy]")
    page.locator(f"{FEATHER}[type=range]").press("Home")
    steps(page, 1, 0)
    page.click("#sl-colour input")
    page.get_by_role("option", name="mean_std").click()
    steps(page, 2, 0, shows("colour", "mean_std"))

    # Both slots' layers are there: the very next picture is the other slot's, blended on this page.
    flipped = """async () => {
      const { state, parts } = window.seamline;
      const { seq } = state;
      parts().steps.flip();
      while (state.seq === seq) await new Promise(requestAnimationFrame);
      return [state.shown.settings.feather_amount, state.shown.settings.colour, state.tier];
    }"""
    page.wait_for_function(f"{STATE}.local")
    assert page.evaluate(flipped) == [30, "membrane", "browser"]
    steps(page, 0, 0, f"{STEPS}.slot === 'B'")
    assert page.evaluate(f"{STATE}.off") <= 2
    page.wait_for_function(f"document.querySelector('{FEATHER}[type=number]').value === '30'")
    page.wait_for_function("document.querySelector('#sl-colour input').value === 'membrane'")
    assert page.get_attribute("#sl-undo [data-slot=B]", "aria-pressed") == "true"

    page.locator(f"{FEATHER}[type=range]").press("End")
    steps(page, 1, 0, shows("feather_amount", 60))
    page.keyboard.press("a")
    steps(page, 2, 0, f"{shows('feather_amount', 0)} && {shows('colour', 'mean_std')}")
    page.wait_for_function(f"document.querySelector('{FEATHER}[type=range]').value === '0'")
    for _ in range(7):
        page.keyboard.press("a")
    steps(page, 1, 0, f"{STEPS}.slot === 'B' && {shows('feather_amount', 60)}")
    page.wait_for_function(f"document.querySelector('{FEATHER}[type=number]').value === '60'")

    page.click("#sl-undo [data-slot=A]")
    settled(page, shows("feather_amount", 0))
    page.click("#sl-undo [data-do=copy]")
    page.keyboard.press("a")
    steps(page, 2, 0, f"{STEPS}.slot === 'B' && {shows('feather_amount', 0)} && {shows('colour', 'mean_std')}")
    page.keyboard.press("Control+z")
    steps(page, 1, 1, f"{shows('feather_amount', 60)} && {shows('colour', 'membrane')}")


def test_a_reload_keeps_how_things_are_looked_at_and_both_slots(page):
    settled(page)
    page.locator(f"{FEATHER}[type=range]").press("Home")
    steps(page, 1, 0)
    page.keyboard.press("a")
    settled(page, shows("feather_amount", 30))
    for key in ("6", "]", "o", "b", "g", "s"):
        page.keyboard.press(key)
    page.click("#sl-times [data-times='4']")
    page.click("#sl-length [data-seconds='3']")
    page.evaluate("window.seamline.viewer.set({ wipe: 0.31, against: 'unblended' })")
    looked = "JSON.stringify(window.seamline.viewer.kept())"
    before = page.evaluate(looked)
    page.wait_for_function(f"{SETTLED} && sessionStorage.getItem('seamline-session')")
    page.reload()
    settled(page, shows("feather_amount", 30))
    assert page.evaluate(looked) == before
    assert page.evaluate("document.getElementById('sl-stage').dataset.surround") == "mid"
    assert page.inner_text("#sl-tag") == "Result less unblended, ×16"
    for one in ("#sl-length [data-seconds='3']", "#sl-times [data-times='4']", "#sl-outline", "#sl-undo [data-slot=B]"):
        assert page.get_attribute(one, "aria-pressed") == "true"
    page.keyboard.press("a")
    settled(page, f"{shows('feather_amount', 0)} && {STEPS}.slot === 'A'")
    page.keyboard.press("9")
    page.reload()
    page.wait_for_function("document.getElementById('sl-view')?.dataset.view === 'clips'", timeout=60_000)
    # What another version left is not taken.
    page.evaluate("""() => {
      sessionStorage.setItem("seamline-view",
        '{"viewer":{"view":"x","gain":3},"loop":{"seconds":9},"page":[],"slots":{"slot":"C"}}');
      Storage.prototype.setItem = () => {};
    }""")
    page.reload()
    settled(page)
    assert page.evaluate("window.seamline.viewer.view") == "wipe"
    assert page.evaluate(f"{STEPS}.slot") == "A"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """25 frames of the sample speech, rendered."""
    from clips.core_clips_processor import CoreClipsProcessor
    from clips.library import SAMPLE_SPEECH
    from clips.timeline import FrameRange

    folder = tmp_path_factory.mktemp("film")
    processor = CoreClipsProcessor("LS1", workspace=folder, device="cpu")
    performance = processor.prepare(SAMPLE_SPEECH, "07,20s talk")
    settings = BlendSettings(feather_amount=12, colour="mean_std")
    processor.generate_video(performance, folder / "film.mp4", settings, frames=FrameRange(40, 65), quality="draft")
    return folder / "film.mp4"


def test_a_dropped_video_brings_its_recipe_back(page, film):
    settled(page)
    content = film.read_bytes()
    assert dropped(page, ("film.mp4", content)) == [True, True]
    page.wait_for_function(f"{DROP}.message.startsWith('Restored from film.mp4')", timeout=60_000)
    assert page.inner_text(".sl-drop-card p") == (
        "Restored from film.mp4: settings, quality draft, model LS1, base 07,20s talk, loop over its frames 40 to 64."
    )
    assert not page.is_visible(".sl-drop-mark")
    steps(page, 1, 0, f"{shows('colour', 'mean_std')} && {STATE}.shown.frame === 52")
    assert page.evaluate(f"{STATE}.header.clip") == "07,20s talk"
    assert page.input_value("#sl-quality input") == "draft"
    assert page.is_checked("#sl-range input[value=loop]")
    page.keyboard.press("Control+z")
    steps(page, 0, 1, shows("feather_amount", 30))
    page.keyboard.press("Escape")
    assert not page.is_visible(".sl-drop-card")

    with page.expect_file_chooser() as chooser:
        page.focus("#sl-drop-open")
        page.keyboard.press("Enter")
    chooser.value.set_files(film)
    steps(page, 1, 0, shows("feather_amount", 12))


def test_what_is_no_recipe_is_told_and_changes_nothing(page):
    from clips.library import BUNDLED

    settled(page)
    clip = (BUNDLED / "LS1" / "02,08s talk.mp4").read_bytes()
    for files, where, said in (
        ([("notes.mp4", b"just text " * 9000)], "#sl-canvas", "'notes.mp4' is no mp4"),
        ([("clip.mp4", clip)], "#sl-left", "'clip.mp4' carries no recipe"),
        ([("a.mp4", clip[:40]), ("b.mp4", b"")], "#sl-canvas", "got 2 files"),
        ([("none.mp4", b"")], "#sl-wipe", "'none.mp4' is empty"),
    ):
        assert dropped(page, *files, where=where) == [True, True]
        page.wait_for_function(f"{DROP}.message.includes({json.dumps(said)})", timeout=30_000)
    # 40 GB: only its beginning is looked at and sent.
    sent = page.evaluate("""async () => {
      const { headOf } = await import("/studio/static/drop.js");
      const box = (name, size) => new Uint8Array([0, 0, 0, size, ...[...name].map((c) => c.charCodeAt(0))]);
      const asked = [];
      const slice = (from, to) => {
        asked.push(to - from);
        return new Blob(from ? [box("free", 9), box("free", 9)] : [box("ftyp", 16), box("isom", 0)]);
      };
      await headOf({ size: 4e10, slice });
      return [asked.length, Math.max(...asked)];
    }""")
    assert sent[0] <= 4100
    assert sent[1] <= 4096
    page.faults[:] = [fault for fault in page.faults if "422" not in fault]
    assert page.evaluate(STATE + ".shown.settings") == BlendSettings().model_dump()
    assert page.evaluate(f"{STEPS}.past") == 0
    assert not page.evaluate(f"{STATE}.error")
