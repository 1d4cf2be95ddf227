"""What cannot be used is refused with a message that says what to do, and long sounds take no more memory."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from models import LipSyncModel, ModelError, audio_features
from models.__main__ import main
from models.audio_features import AudioEncoder, mel_columns, mel_spectrogram
from models.checkpoint import load_audio_encoder, load_unet, save_state_dict
from models.lip_sync import read_features
from models.unet import AUDIO_SHAPES, UNet

REPO = Path(__file__).parents[2]
TINY = (4, 4, 8, 8, 16)
SECOND = np.full(16_000, 0.1, np.float32)


def model_folder(root: Path, mode: str | None = "ave", name: str = "ME", *, weights=None, **card) -> Path:
    """A SyncTalk_2D folder with one small model."""
    folder = root / "checkpoint" / name
    folder.mkdir(parents=True)
    network = UNet(mode if mode in AUDIO_SHAPES else "ave", channels=TINY, size=96)
    torch.save(weights(network.state_dict()) if weights else network.state_dict(), folder / "3.pth")
    save_state_dict(AudioEncoder((4, 4, 8, 8)), folder / "audio_encoder.pth", strip_prefix="audio_encoder.")
    entries = {"size": 96} | ({"mode": mode} if mode else {}) | card
    (folder / "card.yaml").write_text(yaml.safe_dump(entries))
    return root


def loaded(root: Path, **options) -> LipSyncModel:
    return LipSyncModel.load("ME", root, device="cpu", threads=1, **options)


# Checkpoints


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_checkpoints_are_always_a_model_error(tmp_path, zipped):
    torch.save(UNet("ave", channels=TINY).state_dict(), tmp_path / "0.pth", _use_new_zipfile_serialization=zipped)
    whole, rng = (tmp_path / "0.pth").read_bytes(), random.Random(0)
    for turn in range(60):
        damaged = bytearray(whole[: rng.randrange(len(whole))] if turn % 2 else whole)
        for _ in range(20):
            damaged[rng.randrange(min(4000, len(damaged)))] = rng.randrange(256)
        (tmp_path / "0.pth").write_bytes(damaged)
        with pytest.raises(ModelError, match=r"0\.pth"):
            load_unet(tmp_path / "0.pth", "ave")


def test_a_wrapped_checkpoint_says_how_to_save_the_weights(tmp_path):
    torch.save({"epoch": 3, "model_state_dict": UNet("ave", channels=TINY).state_dict()}, tmp_path / "0.pth")
    with pytest.raises(ModelError, match="save its weights alone"):
        load_unet(tmp_path / "0.pth")


def test_audio_encoders_are_checked_too(tmp_path):
    state = AudioEncoder((4, 4, 8, 8)).state_dict()
    key = "audio_encoder.2.conv_block.0.bias"
    for change, message in (
        ({key: torch.full((4,), torch.inf)}, "not finite"),
        ({key: torch.zeros(5)}, r"must have shape \(4,\); got \(5,\)"),
        ({"audio_encoder.0.conv_block.0.weight": torch.zeros(4)}, "not an AVE audio encoder"),
    ):
        torch.save({**state, **change}, tmp_path / "audio_encoder.pth")
        with pytest.raises(ModelError, match=message):
            load_audio_encoder(tmp_path / "audio_encoder.pth")


def as_one_net(state: dict, *, relus: bool = True) -> dict:
    """The keys as a fork saves them: the audio branch as one Sequential called net, its ReLUs counted or not."""
    layers = ["conv1", "conv2", "conv3", "bn3", "relu", "conv4", "conv5", "bn5", "relu", "conv6", "conv7"]
    names = layers if relus else [name for name in layers if name != "relu"]
    places = {name: str(place) for place, name in enumerate(names)}

    def renamed(key: str) -> str:
        first, layer, *rest = key.split(".")
        return ".".join([first, "net", places[layer], *rest]) if first == "audio_model" else key

    return {renamed(key): value for key, value in state.items()}


@pytest.mark.parametrize("mode", ["ave", "hubert", "wenet"])
@pytest.mark.parametrize("relus", [True, False])
def test_the_audio_branch_as_one_net_loads_too(tmp_path, mode, relus):
    state = UNet(mode, channels=TINY).state_dict()
    renamed = as_one_net(state, relus=relus)
    assert any(key.startswith("audio_model.net.10." if relus else "audio_model.net.8.") for key in renamed)
    torch.save(renamed, tmp_path / "0.pth")
    network = load_unet(tmp_path / "0.pth", mode)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    torch.save({k: v for k, v in renamed.items() if not k.startswith("audio_model.net.3.")}, tmp_path / "0.pth")
    with pytest.raises(ModelError, match="must have 9 layers with weights; got 8"):
        load_unet(tmp_path / "0.pth", mode)


def test_wenet_is_told_from_the_weights_when_nothing_says_so(tmp_path):
    model_folder(tmp_path, None, weights=lambda _: UNet("wenet", channels=TINY).state_dict())
    model = loaded(tmp_path)
    assert (model.mode, model.feature_fps) == ("wenet", 20)
    with pytest.raises(ModelError, match=r"not trained in mode ave.*try mode wenet \(mode: in card\.yaml\)"):
        loaded(tmp_path, mode="ave")


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"mode": "deepspeech"}, "mode must be one of ave, hubert, wenet; got 'deepspeech'; correct it in card.yaml"),
        ({"padding": "mirror"}, "padding must be one of zeros, edge; got 'mirror'"),
        ({"fps": "fast"}, "fps must be a number above 0; got 'fast'"),
        ({"fps": -25}, "fps must be a number above 0"),
        ({"fps": "1/0"}, "fps must be a number above 0"),
        ({"size": True}, "size must be a multiple of 32 px"),
    ],
)
def test_cards_with_nonsense(tmp_path, card, message):
    with pytest.raises(ModelError, match=message):
        loaded(model_folder(tmp_path, **{"mode": "ave", **card}))


# Sounds


@pytest.mark.parametrize("mode", ["ave", "hubert"])
@pytest.mark.parametrize(
    ("wav", "message"),
    [
        (np.zeros(0, np.float32), "at least one sample; got .*record or export the sound again"),
        (np.zeros((2, 9), np.float32), "at least one sample"),
        (np.zeros(9, np.int16), "must be float"),
    ],
)
def test_empty_and_odd_sounds(tmp_path, mode, wav, message):
    with pytest.raises(ValueError, match=message):
        loaded(model_folder(tmp_path, mode)).features(wav, tmp_path / "take.wav")


def test_nan_late_in_a_long_sound_is_found():
    wav = np.zeros(2_000_000, np.float32)
    wav[-1] = np.nan
    with pytest.raises(ValueError, match=r"finite.*export the sound again"):
        mel_spectrogram(wav)


def test_a_spectrogram_in_pieces_is_the_whole_one(monkeypatch):
    wav = np.random.default_rng(0).normal(0, 0.1, 33_333).astype(np.float32)
    whole = mel_spectrogram(wav)
    for start, stop in ((0, 1), (0, 5), (1, 2), (3, 90), (100, 167), (166, 167)):
        assert np.abs(mel_columns(wav, start, stop) - whole[:, start:stop]).max() < 1e-5
    monkeypatch.setattr(audio_features, "BLOCK_COLUMNS", 7)
    assert np.abs(mel_spectrogram(wav) - whole).max() < 1e-5


MEMORY = """
import resource
import numpy as np
import torch
from models.audio_features import AudioEncoder, SoundFeatures, feature_context
torch.set_num_threads(1)
encoder = AudioEncoder((4, 4, 4, 4)).eval()
def peak_mb(minutes):
    wav = np.broadcast_to(np.float32(0.1), (minutes * 60 * 16000,))  # takes no memory itself
    features = SoundFeatures(wav, encoder)
    assert len(features) > minutes * 60 * 25 - 25
    for first in range(0, len(features), 8):
        feature_context(features, first, 8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
short = peak_mb(1)
print(peak_mb(10) - short)
"""


def test_a_long_sound_takes_no_more_memory_than_a_short_one():
    """9 minutes more are 35 MB of samples, 28 MB of features, 277 MB of spectra. By hand: 3 hours peak as 3 minutes."""
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=REPO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 16


# Feature files


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("hubert", "aud_hu.npy"),
        ("hubert", "aud_hubert.npy"),
        ("hubert", "take_hu.npy"),
        ("wenet", "aud_wenet.npy"),
        ("wenet", "take_wenet.npy"),
    ],
)
def test_features_lie_beside_the_sound(tmp_path, mode, name):
    model = loaded(model_folder(tmp_path, mode))
    sound = tmp_path / "take.wav"
    with pytest.raises(ModelError, match=f"put .*aud_.* beside take.wav .made by SyncTalk_2D's {mode} extractor"):
        model.features(SECOND, sound)
    shape = (25, 2, 1024) if mode == "hubert" else (20, 16, 512)
    rows = np.random.default_rng(0).normal(size=shape)
    np.save(tmp_path / name, rows)
    assert np.array_equal(model.features(SECOND, sound), rows.reshape(shape[0], -1))
    with pytest.raises(ModelError, match="give the sound as a file"):
        model.features(SECOND)


@pytest.mark.parametrize("steps", [5, 19, 31, 400])
def test_features_of_another_length_than_the_sound(tmp_path, steps):
    model = loaded(model_folder(tmp_path, "hubert"))
    np.save(tmp_path / "aud_hu.npy", np.zeros((steps, 2048), np.float32))
    message = rf"aud_hu.npy has {steps} steps \(.* s\), but take.wav lasts 1.0 s \(25 steps .*make the features again"
    with pytest.raises(ModelError, match=message):
        model.features(SECOND, tmp_path / "take.wav")
    for near in (20, 24, 27, 30):
        np.save(tmp_path / "aud_hu.npy", np.zeros((near, 2048), np.float32))
        assert len(model.features(SECOND, tmp_path / "take.wav")) == near


def test_feature_files_that_are_none(tmp_path):
    path = tmp_path / "aud_hu.npy"
    cases = [
        (lambda: np.save(path, np.zeros((25, 1024), np.float32)), r"2048 numbers per frame.*got shape \(25, 1024\)"),
        (lambda: np.save(path, np.zeros((25, 512), np.float32)), "its width is that of mode ave"),
        (lambda: np.save(path, np.zeros((0, 2048), np.float32)), r"got shape \(0, 2048\)"),
        (lambda: np.save(path, np.zeros(2048, np.float32)), "must hold one array"),
        (lambda: np.save(path, np.zeros((25, 2048), np.int32)), "must hold one array"),
        (lambda: np.save(path, np.full((25, 2048), np.nan, np.float32)), "NaN or infinity; make the features again"),
        (lambda: np.save(path, np.array([{"a": 1}], object), allow_pickle=True), "not a numpy array file"),
        (lambda: path.write_bytes(b"text"), "not a numpy array file"),
        (lambda: path.write_bytes(b""), "not a numpy array file"),
    ]
    for write, message in cases:
        write()
        with pytest.raises(ModelError, match=message):
            read_features(path, "hubert")
    with open(path, "wb") as file:
        np.savez(file, a=np.zeros((25, 2048), np.float32))
    with pytest.raises(ModelError, match="must hold one array"):
        read_features(path, "hubert")
    np.save(path, np.zeros((25, 2048), np.float32))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="not a numpy array file"):
        read_features(path, "hubert")


def test_feature_files_stay_on_disk(tmp_path):
    np.save(tmp_path / "aud_wenet.npy", np.zeros((20, 8192), np.float32))
    assert isinstance(read_features(tmp_path / "aud_wenet.npy", "wenet"), np.memmap)


# python -m models


def said(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_models_are_listed_the_latest_by_number(tmp_path, capsys):
    model_folder(tmp_path)
    folder = tmp_path / "checkpoint" / "ME"
    torch.save(UNet("hubert", channels=TINY, size=96).state_dict(), folder / "20.pth")
    for stray in ("best.pth", "100.pth.tmp", "notes.txt", "-5.pth", "7a.pth"):
        (folder / stray).write_text("stray")
    (tmp_path / "checkpoint" / "empty").mkdir()
    code, out, _ = said(capsys, "list", "--workspace", str(tmp_path))
    assert code == 0
    lines = {line.split()[0]: line.split() for line in out.splitlines()[1:]}
    assert set(lines) == {"LS1", "ME"}
    assert lines["ME"][1:6] == ["ave", "96", "px", "own", "20"]
    (folder / "21.pth").write_text("damaged")
    code, out, _ = said(capsys, "list", "--workspace", str(tmp_path))
    assert code == 2
    assert "cannot be used: ME/21.pth is not a checkpoint" in out


def test_info_tells_what_a_model_is(tmp_path, capsys):
    code, out, _ = said(capsys, "info", "LS1", "--workspace", str(tmp_path))
    assert code == 0
    for text in (
        "mode        ave (from the card)",
        "size        160 px",
        "plan        half",
        "0.pth",
        "sha256",
        "05,20s talk",
    ):
        assert text in out
    code, out, _ = said(capsys, "info", "ME", "--workspace", str(model_folder(tmp_path, None)))
    assert code == 0
    assert "ave (assumed: write `mode: hubert` into card.yaml" in out
    assert "clips       none: expected core clips of the model 'ME'" in out
    code, _, err = said(capsys, "info", "nobody")
    assert code == 2
    assert "there are: LS1" in err


def test_verify_runs_the_model(tmp_path, capsys):
    code, out, _ = said(capsys, "verify", "LS1")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()] == ["weights:", "audio", "card:", "torch", "openvino"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": {"3.pth": "0" * 64}}, "3.pth is not the file the card was written for"),
        ({"sha256": {"9.pth": "0" * 64}}, "the card lists 9.pth, which is not there"),
        ({"channels": [1, 2, 3, 4, 5]}, "card and checkpoint belong to different models"),
        ({"mode": "wenet"}, "was not trained in mode wenet"),
        ({"weights": lambda s: {**s, "outc.conv.bias": torch.full((3,), torch.nan)}}, "not finite"),
        ({"weights": lambda s: {**s, "outc.conv.weight": torch.zeros(3, 2, 1, 1)}}, "the sound does not move"),
    ],
)
def test_verify_says_what_is_wrong(tmp_path, capsys, change, message):
    weights = change.pop("weights", None)
    model_folder(tmp_path, "ave", weights=weights)
    card = tmp_path / "checkpoint" / "ME" / "card.yaml"
    card.write_text(yaml.safe_dump({**yaml.safe_load(card.read_text()), **change}))
    code, _, err = said(capsys, "verify", "ME", "--workspace", str(tmp_path))
    assert code == 2
    assert message in err
