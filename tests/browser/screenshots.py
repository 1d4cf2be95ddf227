"""Pictures of the page to look at, at 1280 x 800 and 1600 x 1000: python tests/browser/screenshots.py FOLDER"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from bench_slider_latency import FLAGS, READY, free_port, started

SIZES = ((1280, 800), (1600, 1000))
VIEWS = ("wipe", "result", "original", "matte", "overlay", "difference", "heat")
LOOPED = """async () => {
  const seen = [];
  const started = performance.now();
  while (performance.now() - started < 2000) {
    await new Promise(requestAnimationFrame);
    const { frame } = window.seamline.picture.header;
    if (seen.at(-1) !== frame) seen.push(frame);
  }
  return seen.length / 2;
}"""


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    server = started(["app_gradio.py", "--port", str(port), "--workspace", tempfile.mkdtemp()], port)
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            for width, height in SIZES:
                page = chromium.new_context(viewport={"width": width, "height": height}).new_page()
                page.set_default_timeout(120_000)
                page.goto(f"http://127.0.0.1:{port}")
                page.wait_for_function(READY)

                def shot(name: str, page=page, width=width) -> None:
                    page.wait_for_timeout(300)
                    page.screenshot(path=folder / f"{name} {width}.png")

                for number, view in enumerate(VIEWS, start=1):
                    page.keyboard.press(str(number))
                    shot(view)
                page.keyboard.press("2")
                page.keyboard.press("g")
                page.keyboard.press("o")
                page.keyboard.press("b")
                page.hover("#sl-feather_amount")
                page.locator("#sl-expansion_ratio input[type=range]").press("End")
                page.wait_for_function(READY)
                shot("face, box, changed")
                page.keyboard.press("?")
                shot("keys")
                page.keyboard.press("Escape")
                page.keyboard.press("k")
                page.wait_for_function("window.seamline.state.loaded")
                print(f"{width} x {height}: the loop shows {page.evaluate(LOOPED):.1f} frames a second", flush=True)
                shot("loop")
                page.keyboard.press("k")
                page.keyboard.press("t")
                page.wait_for_function("window.seamline.parts().sweeps.state.best >= 0")
                shot("sweep")
                page.click("#sl-sweep [data-kind=tune]")
                page.click(".sl-tune-go")
                page.wait_for_function("(({ found, busy }) => found && !busy)(window.seamline.parts().sweeps.tune)")
                shot("auto-tune")
                page.keyboard.press("2")
                page.evaluate("window.seamline.fail('expected a frame; none came: choose another base')")
                shot("error")
                page.click("#sl-audio .icon-button-wrapper button[aria-label='Clear']")
                page.wait_for_selector("#sl-view[data-stage=empty]")
                shot("empty")
                page.context.close()
            chromium.close()
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
