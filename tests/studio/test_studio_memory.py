"""What an idle studio holds in memory, in a process of its own, with the decoders that it started."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IDLE_MB = 950
"""Wanted: under 1 GB."""

PROGRAM = """
import json, os, socket, sys, threading, time, urllib.request
from pathlib import Path

import app_gradio
from studio.memory import REST_AFTER_S
from studio.sessions import Sessions

def memory_mb():
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        except OSError:
            continue
        if int(status["Pid"]) == os.getpid() or int(status["PPid"]) == os.getpid():
            total += int(status.get("VmRSS", "0").split()[0])
    return total // 1024

made, plain = [], Sessions.__init__
Sessions.__init__ = lambda self, *args, **how: (plain(self, *args, **how), made.append(self))[0]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
sys.argv = ["app_gradio.py", "--port", str(port), "--workspace", sys.argv[1]]
threading.Thread(target=app_gradio.main, daemon=True).start()
while True:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
        break
    except OSError:
        time.sleep(0.1)
steps = {"listening": memory_mb()}

from blending import BlendSettings
from clips.library import SAMPLE_SPEECH
from studio.preview import PreviewRequest, preview
from studio.renders import Renders
from studio.timeline import SeamScans

(sessions,) = made
settings = BlendSettings()

def look(session, *frames):
    for frame in frames:
        preview(session, PreviewRequest(token=session.token, frame=frame, settings=settings.model_dump(), layers=True))

def scan(session):
    scans = SeamScans()
    while len((answer := scans.ask(sessions.get(session.token, session.owner), settings))["scores"]) < 60:
        assert not answer["error"], answer
        time.sleep(0.1)

one = sessions.open("LS1", SAMPLE_SPEECH, "05,20s talk evening", owner="ann")
look(one, 22)
steps["preview"] = memory_mb()
scan(one)
steps["scan"] = memory_mb()
cut = sessions.open("LS1", SAMPLE_SPEECH, "core clips", owner="ann")
look(cut, 22)
scan(cut)
steps["core clips"] = memory_mb()
list(Renders(sessions.workspace).run(cut, settings))
steps["render"] = memory_mb()
other = sessions.open("LS1", SAMPLE_SPEECH, "07,20s talk", owner="bob")
look(other, 5, 60, 120)
sessions.touch()
steps["second person"] = memory_mb()
time.sleep(REST_AFTER_S + 8)
steps["idle"] = memory_mb()
print(json.dumps(steps), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_an_idle_studio_is_under_a_gigabyte(tmp_path):
    """After previews, timeline scans, core clips, a render and a second person."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout.splitlines()[-1])
    assert steps["idle"] < IDLE_MB, steps
