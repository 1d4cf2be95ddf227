"""The page's own blend against the engine's: the same picture within two levels, for any setting it follows."""

import base64
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from blending import Blender, BlendSettings, CropBox
from blending.layers import LOCAL_SETTINGS, blend_layers
from clips.library import ClipLibrary
from studio.layers import layer_blobs, layer_numbers

STATIC = Path(__file__).parents[2] / "studio" / "static"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SETTINGS = {"plain": 200, "gpu": 40}
NOT_LOCAL = [
    {"colour": colour, "registration": registration}
    for colour in ("membrane", "covariance", "mean_std", "histogram", "none")
    for registration in ("on", "off")
]
START = """async ([address, numbers, blobs, gpu]) => {
  const { PlainBlender, GpuBlender, layersOf } = await import(address);
  const bytes = (text) => {
    const raw = atob(text), values = new Uint8Array(raw.length);
    for (let k = 0; k < raw.length; k += 1) values[k] = raw.charCodeAt(k);
    return values;
  };
  const layers = layersOf(numbers, blobs.map(([name, kind, text]) => ({ name, kind, bytes: bytes(text) })));
  window.bytes = bytes;
  window.blender = gpu ? new GpuBlender(layers, { software: true }) : new PlainBlender(layers);
}"""
COMPARE = """([settings, text, side, left, top, width]) => {
  const engine = window.bytes(text), { rgba, matte } = window.blender.blend(settings);
  let picture = 0, alpha = 0, off = 0;
  for (let k = 0; k < engine.length; k += 1) {
    const pixel = k >> 2, at = (top + Math.floor(pixel / width)) * side + left + (pixel % width);
    const mine = k % 4 < 3 ? rgba[4 * at + (k % 4)] : matte[at];
    const far = Math.abs(mine - engine[k]);
    if (k % 4 < 3) picture = Math.max(picture, far);
    else alpha = Math.max(alpha, far);
    off += far > 0;
  }
  return [picture, alpha, off / engine.length];
}"""


def text_of(array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


@pytest.fixture(scope="module")
def faces():
    """(plate, generated, box, landmarks, parsing, opacity): a sharp and a smooth square of another frame in another
    light, a parsing mask with a ramp at a cut, a square that reaches over the frame's edge."""
    clip = next(clip for clip in ClipLibrary(None).clips("LS1") if "evening" in clip.name)
    frames, found = clip.frames(), clip.landmarks().smoothed()
    plate, marks = frames[30], found.at(30)
    box = CropBox.from_landmarks(marks)
    other = CropBox.from_landmarks(found.at(80)).extract(frames[80])
    lit = np.clip(other * np.array([0.9, 1.0, 1.15]) + 6, 0, 255).astype(np.uint8)
    smooth = cv2.GaussianBlur(lit, (0, 0), 2.5)
    parsing = np.zeros(plate.shape[:2], bool)
    parsing[int(marks.anchor("chin")[1]) + 12 :] = True
    wide = CropBox(box.x0, box.y0, plate.shape[0] - box.y0 + 40)
    return [
        (plate, lit, box, marks, None, 1.0),
        (plate, smooth, box, marks, None, 1.0),
        (plate, smooth, box, marks, parsing, 0.4),
        (plate, smooth, wide, marks, None, 1.0),
    ]


def random_settings(rng, fixed, on_steps):
    """Any values of what the page follows; on_steps: only those the sliders give."""
    values = dict(fixed)
    for control in (one for one in BlendSettings.controls() if one.name in LOCAL_SETTINGS):
        if control.choices:
            values[control.name] = str(rng.choice(control.choices))
            continue
        values[control.name] = value = rng.uniform(control.minimum, control.maximum)
        if on_steps:
            steps = round((value - control.minimum) / control.step)
            values[control.name] = min(control.minimum + steps * control.step, control.maximum)
    return BlendSettings.parse(values)


@pytest.fixture(scope="module", params=["plain", "gpu"])
def any_page(request, browser):
    """A page with nothing but blend.js; for "gpu" one with WebGL, in software where there is no other."""
    flags = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader", "--ignore-gpu-blocklist"]
    own = browser if request.param == "plain" else browser.browser_type.launch(
        executable_path=CHROMIUM, args=flags
    )  # fmt: skip
    page = own.new_context().new_page()
    page.route("http://blend.test/*", lambda route: route.fulfill(
        path=STATIC / "blend.js", content_type="text/javascript"
    ) if route.request.url.endswith("blend.js") else route.fulfill(body="<p>", content_type="text/html"))  # fmt: skip
    page.goto("http://blend.test/")
    yield page, request.param == "gpu"
    page.context.close()
    if own is not browser:
        own.close()


def test_page_and_engine_agree_within_two_levels(any_page, faces):
    page, gpu = any_page
    if gpu and not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
        pytest.skip("this Chromium has no WebGL2")
    rng = np.random.default_rng(7)
    groups = [(face, fixed) for face in faces for fixed in NOT_LOCAL]
    each = SETTINGS["gpu" if gpu else "plain"] // len(groups)
    seen = []
    for (plate, generated, box, marks, parsing, opacity), fixed in groups:
        more = {"parsing": parsing, "opacity": opacity}
        layers = blend_layers(BlendSettings(**fixed), plate, generated, box, marks, **more)
        blobs = [(f"local_{name}", array.dtype.name, text_of(array)) for name, array in layer_blobs(layers)]
        numbers = json.loads(json.dumps(layer_numbers(layers)))
        page.evaluate(START, ["http://blend.test/blend.js", numbers, blobs, gpu])
        for turn in range(each):
            on_steps = turn % 2 == 0
            settings = random_settings(rng, fixed, on_steps)
            result = Blender(settings).blend(plate, generated, box, marks, **more)
            rows, columns = result.rows, result.columns
            shown = np.dstack([result.patch[..., ::-1], np.rint(result.patch_matte * 255).astype(np.uint8)])
            place = [box.side, columns.start - box.x0, rows.start - box.y0, shown.shape[1]]
            picture, alpha, off = page.evaluate(COMPARE, [settings.model_dump(), text_of(shown), *place])
            assert picture <= 2, (fixed, settings)
            # Between the steps of the colour amount the feather's share is read from a table.
            assert alpha <= (2 if on_steps else 4), (fixed, settings)
            seen.append((picture, alpha, off))
    assert len(seen) == SETTINGS["gpu" if gpu else "plain"]
    picture, alpha = np.max(seen, axis=0)[:2]
    print(f"largest difference {picture:.0f} levels, of the matte {alpha:.0f}; {np.mean(seen, axis=0)[2]:.2%} differ")
