"""Slider event to verified new pixels in Chromium: the studio against three default gr.Image outputs, in one run.

    python tests/browser/bench_slider_latency.py [--moves 50]

Prints median and 95th percentile of each and how many times faster the studio is; asserts nothing.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
READY = (
    "window.seamline?.state.exact && !window.seamline.state.pending && "
    "window.seamline.state.header.score !== undefined && !window.seamline.state.header.old"
)

# Moves a slider and waits, picture by picture, until other pixels are shown; milliseconds.
STUDIO = """async ([name, value]) => {
  const input = document.querySelector(`#sl-${name} input[type=range]`);
  const canvas = document.getElementById("sl-canvas");
  const pixels = () => {
    const { width, height } = canvas;
    const part = canvas.getContext("2d").getImageData(width * .25, height * .45, width * .5, height * .4).data;
    let sum = 0;
    for (let k = 0; k < part.length; k += 4) sum = (sum * 31 + part[k] + 7 * part[k + 1]) % 1000003;
    return sum;
  };
  const before = pixels();
  const started = performance.now();
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  while (performance.now() - started < 20000) {
    await new Promise(requestAnimationFrame);
    if (window.seamline.state.shown.settings[name] === value && pixels() !== before) return performance.now() - started;
  }
  return NaN;
}"""
IMAGES = """async ([name, value]) => {
  const input = document.querySelector("input[type=range]");
  const shown = () => [...document.querySelectorAll(".image-frame img, .image-container img")];
  const before = shown().map((image) => image.src);
  const started = performance.now();
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  while (performance.now() - started < 20000) {
    await new Promise(requestAnimationFrame);
    const images = shown();
    const there = images.length === 3 && images.every((image, k) => image.src !== before[k] && image.complete);
    if (!there) continue;
    await Promise.all(images.map((image) => image.decode()));
    return performance.now() - started;
  }
  return NaN;
}"""


def serve_images(port: int) -> None:
    """A page with one slider and three gr.Image outputs as they come, on the frame that the studio opens with."""
    import gradio as gr

    from blending import BlendSettings
    from clips.core_clips_processor import CoreClipsProcessor
    from clips.library import SAMPLE_SPEECH

    processor = CoreClipsProcessor("LS1", workspace=Path(tempfile.mkdtemp()))
    shot = processor.shot(processor.prepare(SAMPLE_SPEECH, "05,20s talk evening"), 22)

    def show(expansion: float) -> tuple[np.ndarray, ...]:
        result = processor.blend_shot(shot, BlendSettings(expansion_ratio=expansion))
        matte = np.rint(result.matte * 255).astype(np.uint8)
        tint = result.matte[..., None] * 0.5 * (np.array([255, 64, 64]) - shot.plate[..., ::-1])
        return matte, (shot.plate[..., ::-1] + tint).astype(np.uint8), result.frame[..., ::-1]

    with gr.Blocks(analytics_enabled=False) as page:
        slider = gr.Slider(1, 1.3, value=1.15, step=0.01)
        images = [gr.Image() for _ in range(3)]
        slider.change(show, slider, images)
        page.load(show, slider, images)
    page.launch(server_port=port, quiet=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(command: list[str], port: int) -> subprocess.Popen[bytes]:
    server = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL)
    for _ in range(480):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
            return server
        except OSError:
            time.sleep(0.25)
    server.kill()
    raise SystemExit("a server did not start")


def told(name: str, ms: list[float]) -> tuple[float, float]:
    median, slow = float(np.nanmedian(ms)), float(np.nanpercentile(ms, 95))
    print(f"{name:<46} median {median:7.1f} ms   p95 {slow:7.1f} ms   lost {int(np.isnan(ms).sum())}", flush=True)
    return median, slow


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=50)
    parser.add_argument("--serve-images", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve_images:
        return serve_images(args.serve_images)
    values = [round(float(v), 2) for v in 1 + 0.01 * (np.arange(args.moves) * 7 % 31)]
    first, second = free_port(), free_port()
    servers = [
        started(["app_gradio.py", "--port", str(first), "--workspace", tempfile.mkdtemp()], first),
        started([__file__, "--serve-images", str(second)], second),
    ]
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            studio = chromium.new_page(viewport={"width": 1280, "height": 800})
            studio.goto(f"http://127.0.0.1:{first}")
            studio.wait_for_function(READY, timeout=120_000)
            studio.keyboard.press("2")
            studio.wait_for_timeout(3000)
            other = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            images = other.new_page(viewport={"width": 1280, "height": 800})
            images.goto(f"http://127.0.0.1:{second}")
            images.wait_for_function("document.querySelectorAll('.image-frame img').length === 3", timeout=120_000)
            taken: dict[str, list[float]] = {"images": [], "page": [], "studio": []}
            for value in values:  # one after the other, so that all meet the same load of the machine
                taken["images"].append(images.evaluate(IMAGES, ["expansion_ratio", value]))
                taken["page"].append(studio.evaluate(STUDIO, ["expansion_ratio", value]))
                studio.wait_for_function(READY, timeout=60_000)
            studio.click("#sl-compositor label:has-text('multiband')")
            studio.wait_for_function(READY, timeout=60_000)
            for value in values:
                taken["studio"].append(studio.evaluate(STUDIO, ["expansion_ratio", value]))
                studio.wait_for_function(READY, timeout=60_000)
            chromium.close()
            other.close()
        _, slow = told("three default gr.Image outputs", taken["images"])
        _, page = told("the studio, alpha (blended on the page)", taken["page"])
        told("the studio, multiband (over the WebSocket)", taken["studio"])
        print(f"alpha is {slow / page:.1f} x faster at p95")
    finally:
        for server in servers:
            server.terminate()


if __name__ == "__main__":
    main()
