"""A studio on a free port of this machine, in a thread."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import uvicorn


class serve:
    """A studio in a thread."""

    def __init__(self, workspace, **how):
        from studio.cache import use_own_upload_folder
        from studio.server import build_app

        with socket.socket() as probe_socket:
            probe_socket.bind(("127.0.0.1", 0))
            self.port = probe_socket.getsockname()[1]
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("GRADIO_TEMP_DIR", "")
        use_own_upload_folder(workspace)
        app = build_app(workspace, device="cpu", **how)
        self.server = uvicorn.Server(
            uvicorn.Config(app, port=self.port, log_level="error", timeout_graceful_shutdown=1)
        )
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive(), "the server did not start"
            time.sleep(0.05)
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(20)
        self.patch.undo()
