"""What the tests of renders share: a model without a network over small clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy


@pytest.fixture(scope="session")
def toy_workspace(tmp_path_factory) -> Path:
    """Three bundled clips 96 px wide, as those of the model "toy". Read only."""
    return toy.make_workspace(tmp_path_factory.mktemp("toy") / "workspace", 96)


@pytest.fixture
def toy_processor(toy_workspace, monkeypatch):
    """CoreClipsProcessor that draws with `toy.ToyModel`; speech found by energy."""
    from clips.core_clips_processor import CoreClipsProcessor

    monkeypatch.setattr("models.lip_sync.LipSyncModel.load", lambda *_, **__: toy.ToyModel(64))
    return CoreClipsProcessor(toy.MODEL, workspace=toy_workspace, vad_method="energy")
