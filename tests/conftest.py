"""Fixtures that several test folders share: a tiny model with core clips, and a processor on it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).parents[1]
LS1_CLIPS = REPO / "clips" / "library" / "LS1"
LANDMARKS_SUFFIX = ".landmarks.npz"


@pytest.fixture(scope="module")
def one_torch_thread():
    """torch on one thread: on busy cores the tiny network's layers otherwise wait for each other, 10 ms at a time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Path:
    """A workspace with the model "tiny": random weights for 96 px, the bundled clips of LS1. Read only."""
    import torch

    from models.audio_features import AudioEncoder
    from models.checkpoint import save_state_dict
    from models.unet import UNet

    root = tmp_path_factory.mktemp("workspace")
    folder = root / "checkpoint" / "tiny"
    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_state_dict(UNet("ave", channels=(4, 4, 8, 8, 16), size=96), folder / "1.pth")
        save_state_dict(AudioEncoder((4, 4, 8, 8)), folder / "audio_encoder.pth")
    (folder / "card.yaml").write_text("mode: ave\nsize: 96\n", encoding="utf-8")
    clips, landmarks = root / "core_clips" / "tiny", root / "landmarks" / "tiny"
    for place in (clips, landmarks):
        place.mkdir(parents=True)
    for video in sorted(LS1_CLIPS.glob("*.mp4")):
        shutil.copy(video, clips)
        shutil.copy(video.with_name(video.stem + LANDMARKS_SUFFIX), landmarks)
    return root


@pytest.fixture(scope="session")
def processor(workspace):
    """CoreClipsProcessor of the tiny model; speech found by energy, which needs no network."""
    from clips.core_clips_processor import CoreClipsProcessor

    return CoreClipsProcessor("tiny", workspace=workspace, vad_method="energy", device="cpu")


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """The bundled sample speech, float32 (T,) at 16 kHz: talk, a pause of 1.2 s around 3.4 s, talk; 7.2 s."""
    from clips.audio import load_audio

    return load_audio(LS1_CLIPS / "sample_speech.wav")
