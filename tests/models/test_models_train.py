"""The trainer on seconds of a bundled clip: it runs, resumes, includes core clips and writes a usable model."""

import shutil
import wave

import numpy as np
import pytest
import torch
import yaml

from clips.library import BUNDLED, SAMPLE_SPEECH
from models import LipSyncModel
from models.dataset import MOUTH_WEIGHT, Take, jitter_colour, network_batch
from models.losses import mouth_psnr_db, weighted_loss
from models.train import main


def takes(mouth_known=True):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (30, 72, 72, 3), dtype=np.uint8)
    mouths = np.tile(np.int32([20, 30, 44, 50]), (30, 1))
    return [Take("t", crops, mouths, np.zeros((30, 4), np.float32), (), split=20, mouth_known=mouth_known)]


def batch(rng=None, mouth_known=True):
    features = [[np.random.default_rng(1).uniform(0, 1, (32, 512)).astype(np.float32)]]
    return network_batch(takes(mouth_known), [(0, 10, 3), (0, 12, 12)], features, [0, 0], rng=rng)


def test_batch_geometry():
    image, audio, target, weight = batch()
    take = takes()[0]
    assert image.shape == (2, 6, 64, 64)
    assert audio.shape == (2, 32, 16, 16)
    expected = torch.from_numpy(take.crops[10, 4:-4, 4:-4].astype(np.float32) / 255).permute(2, 0, 1)
    assert torch.equal(target[0], expected)
    assert torch.equal(image[1, :3], target[1])
    masked = image[0, 3:]
    assert (masked[:, 5:54, 5:59] == 0).all()
    assert torch.equal(masked[:, :5], target[0, :, :5])
    assert (weight[0, 0, 30:50, 20:44] == MOUTH_WEIGHT).all()
    assert weight.sum() == 2 * (64 * 64 + (MOUTH_WEIGHT - 1) * 20 * 24)


def test_an_unknown_mouth_does_not_count():
    _, _, target, weight = batch(mouth_known=False)
    drawn = target.clone()
    drawn[:, :, 32:48, 22:42] = 0.5
    assert weighted_loss(drawn, target, weight) == 0
    _, _, target, weight = batch()
    assert weighted_loss(drawn, target, weight) > 0
    assert 0 < mouth_psnr_db(drawn, target, weight) < 30


def test_jitter_leaves_the_target_alone():
    plain, jittered = batch(), batch(np.random.default_rng(5))
    same = [torch.equal(a, b) or torch.equal(a, b.flip(-1)) for a, b in zip(plain[2], jittered[2], strict=True)]
    assert all(same)
    assert not torch.equal(plain[0], jittered[0])
    picture = np.random.default_rng(0).random((8, 8, 6)).astype(np.float32)
    draws = [jitter_colour(picture, np.random.default_rng(seed)) for seed in range(200)]
    assert 0.15 < np.mean([draw is picture for draw in draws]) < 0.35


@pytest.mark.slow
def test_training_resumes_and_its_model_opens(tmp_path, capsys):
    footage = tmp_path / "take.mp4"
    shutil.copy(BUNDLED / "LS1" / "07,20s talk.mp4", footage)
    shutil.copy(SAMPLE_SPEECH, footage.with_suffix(".wav"))
    run = ["--footage", str(footage), "--name", "ME", "--workspace", str(tmp_path / "w"), "--size", "64",
           "--encoder-steps", "2", "--batch", "2", "--device", "cpu", "--holdout", "0.2"]  # fmt: skip
    assert main([*run, "--steps", "2"]) == 0
    assert main([*run, "--steps", "4", "--resume", "--include-core-clips", "LS1"]) == 0
    assert "resuming at step 2" in capsys.readouterr().out
    folder = tmp_path / "w" / "checkpoint" / "ME"
    card = yaml.safe_load((folder / "card.yaml").read_text())
    assert card["training"]["steps"] == 4
    assert set(card["frames"]) == {"take", *(path.stem for path in (BUNDLED / "LS1").glob("*.mp4"))}
    assert (tmp_path / "w" / "training" / "ME" / "samples.png").is_file()
    assert "unet" in (tmp_path / "w" / "training" / "ME" / "loss.csv").read_text()
    model = LipSyncModel.load("ME", tmp_path / "w", device="cpu")
    assert model.features(np.zeros(16000, np.float32)).shape[1] == 512


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--size", "100"], "multiple of 32"),
        (["--name", "../ME"], "plain folder name"),
        (["--holdout", "0.9"], "between 0 and 0.5"),
        (["--footage", "nowhere.mp4"], "does not exist"),
        (["--batch", "1"], "at least 2"),
    ],
)
def test_bad_arguments_say_what_was_expected(tmp_path, capsys, change, message):
    footage = tmp_path / "take.mp4"
    footage.write_bytes(b"no video")
    run = ["--footage", str(footage), "--name", "ME", "--workspace", str(tmp_path)]
    assert main([*run, *change]) == 2
    assert message in capsys.readouterr().err


def test_footage_that_is_no_video_or_too_short(tmp_path, capsys):
    footage = tmp_path / "take.mp4"
    footage.write_bytes(b"no video")
    run = ["--footage", str(footage), "--name", "ME", "--workspace", str(tmp_path), "--size", "64"]
    assert main(run) == 2
    assert capsys.readouterr().err.startswith("error: ")
    shutil.copy(BUNDLED / "LS1" / "02,08s talk.mp4", footage)
    with wave.open(str(footage.with_suffix(".wav")), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(bytes(2 * 33280))
    assert main(run) == 2
    assert "at least 100 frames" in capsys.readouterr().err
