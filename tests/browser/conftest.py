"""A real studio as a subprocess, and Chromium looking at it. Skipped with a message where there is no Chromium."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-quic", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


CUT_OFF = ("console: AbortError: signal is aborted", "console: Unexpected error Connection errored out")
"""What Gradio writes to the console when its page is left while an answer is on its way."""


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed (Debian: apt-get install chromium)"))


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """Address of a running studio and its workspace."""
    workspace = tmp_path_factory.mktemp("studio-workspace")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = workspace / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "app_gradio.py", "--port", str(port), "--workspace", str(workspace)],
            cwd=ROOT, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(720):
            assert server.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(address, timeout=2).close()
                break
            except OSError:
                time.sleep(0.25)
        yield address, workspace
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, studio):
    """A fresh page on the studio; fails on any page error, console error or request that leaves this machine."""
    address, _ = studio
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
    page.on("console", lambda message: message.type == "error" and faults.append(f"console: {message.text}"))
    page.on(
        "request",
        lambda request: (
            request.url.startswith((address, "data:", "blob:")) or faults.append(f"external request: {request.url}")
        ),
    )

    def leaving(go):
        def gone(*args, **kwargs):
            before = len(faults)
            answer = go(*args, **kwargs)
            faults[before:] = [fault for fault in faults[before:] if not fault.startswith(CUT_OFF)]
            return answer

        return gone

    page.goto(address)
    page.goto, page.reload, page.faults = leaving(page.goto), leaving(page.reload), faults
    yield page
    context.close()
    assert faults == []
