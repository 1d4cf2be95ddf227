"""The trainer on seconds of a bundled clip: it runs, resumes, includes core clips and writes a usable model."""

import shutil
import wave
from fractions import Fraction

import numpy as np
import pytest
import torch
import yaml

from clips.audio import save_wav
from clips.library import BUNDLED, SAMPLE_SPEECH
from clips.video import VideoWriter
from models import LipSyncModel
from models.dataset import (
    MOUTH_WEIGHT,
    Take,
    affine_fits,
    hearings,
    jitter_colour,
    network_batch,
    pick_reference,
    reference_crop,
)
from models.errors import ModelError
from models.losses import cell_loss, drawing_loss, mouth_psnr_db, weighted_loss
from models.report import Logged, loss_curve, sample_sheet
from models.teach import Progress, Schedule, _descend, _smoothed, teach_unet
from models.train import main
from models.unet import UNet


def takes(mouth_known=True):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (30, 72, 72, 3), dtype=np.uint8)
    mouths = np.tile(np.int32([20, 30, 44, 50]), (30, 1))
    pose = np.tile(rng.uniform(0, 72, (17, 2)).astype(np.float32), (30, 1, 1))
    return [Take("t", crops, mouths, np.zeros((30, 4), np.float32), pose, (), split=20, mouth_known=mouth_known)]


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
    assert weighted_loss(drawn, target, weight) == cell_loss(drawn, target, weight) == 0
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


def test_affine_fits_find_the_map():
    rng = np.random.default_rng(3)
    source = rng.uniform(0, 160, (4, 17, 2)).astype(np.float32)
    matrix = np.array([[1.02, 0.05, 3.0], [-0.04, 0.97, -2.0]])
    target = (source[2] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    maps, rest = affine_fits(source, target)
    assert np.allclose(maps[2], matrix, atol=1e-3)
    assert rest[2] < 1e-3 < rest[[0, 1, 3]].min()


def test_reference_is_near_in_pose_and_far_in_time():
    rng = np.random.default_rng(4)
    face = rng.uniform(20, 60, (17, 2))
    bend = (np.arange(200) % 50 / 50)[:, None, None] * rng.normal(0, 3, (17, 2))
    pose = (face + bend).astype(np.float32)
    crops = np.zeros((200, 72, 72, 3), np.uint8)
    take = Take("t", crops, np.zeros((200, 4), np.int32), np.zeros((200, 4), np.float32), pose, (), split=160)
    picks = np.array([pick_reference(take, 80, rng) for _ in range(60)])
    assert (np.abs(picks - 80) >= 25).all()
    assert picks.max() < 160
    around = np.abs((picks - 80 + 25) % 50 - 25)
    assert np.median(around) <= 3  # of 32 candidates spread over a cycle of 50 frames
    assert reference_crop(take, 80, 80) is not None
    assert np.shares_memory(reference_crop(take, 80, 80), crops)


def test_reference_moves_onto_the_pose():
    take = takes()[0]
    pose = take.pose.copy()
    pose[3] = pose[10] + (4, -2)
    moved = Take(take.name, take.crops, take.mouths, take.lips, pose, (), split=20)
    found = reference_crop(moved, 10, 3)
    assert np.abs(found[10:50, 10:50].astype(int) - take.crops[3, 8:48, 14:54]).max() <= 1


def test_hearings_keep_lips_and_tempo_together():
    lips = np.linspace(0, 1, 100, dtype=np.float32)[:, None].repeat(4, axis=1)
    mels = (np.zeros((80, 325), np.float32),)
    slow, fast = (np.zeros((80, round(325 / t)), np.float32) for t in (0.8, 1.25))
    base = takes()[0]
    take = Take("t", base.crops, base.mouths, lips, base.pose, mels, 80, ((slow, 0.8), (fast, 1.25)))
    plain, slower, faster = hearings(take, 10)
    assert plain.split == 80
    assert slower.lips[100, 0] == pytest.approx(lips[80, 0], abs=1e-4)
    assert faster.lips[40, 0] == pytest.approx(lips[50, 0], abs=1e-4)
    assert slower.split * 0.8 <= 80 >= faster.split * 1.25
    assert len(hearings(take, 70)) == 2


def test_cell_loss_forgives_place_and_not_amount():
    target = torch.zeros(1, 3, 64, 64)
    target[..., 18:20, 18:22] = 1
    weight = torch.ones(1, 1, 64, 64)
    moved = target.roll((2, 1), (-2, -1))
    blurred = torch.nn.functional.avg_pool2d(target, 7, 1, 3)
    assert cell_loss(target, target, weight) == 0
    assert cell_loss(moved, target, weight) < 0.2 * cell_loss(blurred, target, weight)
    assert weighted_loss(moved, target, weight) > weighted_loss(blurred, target, weight)
    assert drawing_loss(moved, target, weight, (3, 5)) > 0


def test_sheet_and_curve_are_pictures():
    pictures = np.random.default_rng(0).random((3, 64, 64, 3)).astype(np.float32)
    sheet = sample_sheet(pictures, pictures, [(10, 20, 40, 50)] * 3)
    assert sheet.shape == (256, 192, 3)
    assert np.array_equal(sheet[:64], sheet[64:128])
    rows = [Logged("unet", step, "loss", 1 / (1 + step)) for step in range(0, 200, 50)]
    drawn, empty = loss_curve(rows, "unet"), loss_curve([], "unet")
    assert drawn.shape == empty.shape
    assert (drawn != empty).any()


def test_a_resumed_run_logs_each_step_once(tmp_path):
    log = tmp_path / "loss.csv"
    progress = Progress(log, "unet", 100)
    Progress(log, "audio", 100)(90, {"loss": 3.0})
    progress(50, {"loss": 2.0})
    progress(100, {"loss": 1.0})
    progress.begin(50)
    progress(100, {"loss": 0.5})
    rows = log.read_text().splitlines()
    assert rows == [
        "stage,step,name,value",
        "audio,90,loss,3.000000",
        "unet,50,loss,2.000000",
        "unet,100,loss,0.500000",
    ]
    progress.draw_curve()
    assert (tmp_path / "unet_curve.png").is_file()


def test_rate_goes_by_steps():
    schedule = Schedule(100, 1, 1e-3, warm_up=10)
    rates = [schedule.rate_at(step) for step in range(100)]
    assert np.argmax(rates) == 9
    assert rates[99] < 1e-6 < rates[0]


@pytest.mark.parametrize(
    ("error", "batch", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), 8, "--batch 4"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), 4, "--batch 2"),
        (MemoryError(), 2, "smaller --size"),
    ],
)
def test_out_of_memory_says_what_to_try(error, batch, message):
    def loss_of():
        raise error

    with pytest.raises(ModelError, match=message):
        _descend(loss_of, torch.optim.SGD([torch.zeros(1)], 1.0), 1e-3, batch)


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
    files = {path.name for path in (tmp_path / "w" / "training" / "ME").iterdir()}
    assert {"samples.png", "audio_curve.png", "unet_curve.png", "loss.csv"} <= files
    assert main([*run, "--name", "ME2", "--steps", "1", "--init", "ME"]) == 0
    origin = yaml.safe_load((tmp_path / "w" / "checkpoint" / "ME2" / "card.yaml").read_text())["started_from"]
    assert origin["model"] == "ME"
    assert main([*run, "--name", "ME3", "--steps", "1", "--init", "ME", "--fresh-audio"]) == 0
    heard_anew = yaml.safe_load((tmp_path / "w" / "checkpoint" / "ME3" / "card.yaml").read_text())
    assert heard_anew["started_from"]["taken"] == "all but what hears"
    assert "--fresh-audio" in heard_anew["command"]
    assert main([*run, "--steps", "1", "--fresh-audio"]) == 2
    assert "--init" in capsys.readouterr().err
    assert main([*run, "--steps", "1", "--init", "LS1"]) == 2
    assert "start with --size 160" in capsys.readouterr().err
    assert main([*run, "--steps", "1", "--init", "nobody"]) == 2
    assert "there are: LS1, ME, ME2, ME3" in capsys.readouterr().err
    folder = tmp_path / "w" / "checkpoint" / "ME"
    card = yaml.safe_load((folder / "card.yaml").read_text())
    assert card["training"]["steps"] == 4
    assert [len(values) for values in card["appearance"].values()] == [7] * len(card["footage"])
    assert set(card["frames"]) == {"take", *(path.stem for path in (BUNDLED / "LS1").glob("*.mp4"))}
    assert "--seed 1" in card["command"]
    assert str(tmp_path) not in card["command"]
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


def silent_video(path, frames, fps=25):
    with VideoWriter(path, 64, 64, fps=Fraction(fps)) as writer:
        for _ in range(frames):
            writer.write(np.full((64, 64, 3), 120, np.uint8))


def silent_wav(path, seconds):
    save_wav(path, np.zeros(16000 * seconds, np.float32))


def test_footage_that_cannot_be_trained_on(tmp_path, capsys):
    run = ["--name", "ME", "--workspace", str(tmp_path / "w"), "--size", "64", "--footage"]
    footage = tmp_path / "take.mp4"
    silent_video(footage, 120, fps=30)
    assert main([*run, str(footage)]) == 2
    assert "must run at 25 frames a second; take.mp4 has 30" in capsys.readouterr().err
    silent_video(footage, 120)
    assert main([*run, str(footage)]) == 2
    assert "has no sound track" in capsys.readouterr().err
    silent_wav(footage.with_suffix(".wav"), 5)
    assert main([*run, str(footage)]) == 2
    assert "face" in capsys.readouterr().err


def test_diverged_training_stops():
    with pytest.raises(ModelError, match="diverged at step 7"):
        _smoothed(0.1, float("nan"), 0.9, 7)


@pytest.mark.slow
def test_training_ends_early_with_the_best_weights(tmp_path, capsys):
    features = [[np.random.default_rng(1).uniform(0, 1, (32, 512)).astype(np.float32)]]
    network = UNet("ave", channels=(4, 4, 8, 8, 16), size=64)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0  # with a rate of 0 nothing changes then, so nothing is gained
    schedule = Schedule(40, 1, 0.0, batch=2, check_every=2, patience=2)
    seen = teach_unet(
        network, takes(), features, schedule, tmp_path / "state.pt", device=torch.device("cpu"),
        progress=Progress(tmp_path / "loss.csv", "unet", 40), resume=False,
    )  # fmt: skip
    assert seen["steps"] < 40
    assert "no gain" in capsys.readouterr().out
    assert (tmp_path / "samples.png").is_file()
