"""Checkpoints, geometry and the numpy door."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from blending.types import CropBox
from models import LipSyncModel, ModelError, list_models
from models.audio_features import AudioEncoder, SoundFeatures, encode_mel, feature_context, mel_spectrogram
from models.checkpoint import latest_checkpoint, load_audio_encoder, load_unet, save_state_dict
from models.folding import fold_batch_norm
from models.lip_sync import mask_lower_face
from models.runtime import pick_device
from models.unet import AUDIO_SHAPES, UNet

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))
import weights_rule

TINY = (4, 4, 8, 8, 16)


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """Weights and statistics by the oracle's rule: every part of the input shows in the output."""
    for key, value in network.state_dict().items():
        value.copy_(torch.from_numpy(weights_rule.weight_for(key, value.shape)))
    return network.eval()


@pytest.fixture
def plate():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (200, 240, 3), dtype=np.uint8)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LipSyncModel(
        "t", randomised(UNet("ave", channels=TINY, size=96)), randomised(AudioEncoder((4, 4, 8, 8))), device="cpu"
    )


@pytest.mark.parametrize("size", [96, 160, 320])
def test_folding_batch_norm_changes_nothing(size):
    torch.manual_seed(1)
    network = randomised(UNet("ave", channels=TINY, size=size))
    image, audio = torch.rand(1, 6, size, size), torch.rand(1, *AUDIO_SHAPES["ave"])
    with torch.inference_mode():
        assert (fold_batch_norm(network)(image, audio) - network(image, audio)).abs().max() < 1e-5


def test_masked_rectangle_is_the_documented_one():
    picture = np.ones((320, 320, 3), np.float32)
    mask_lower_face(picture)
    rows, columns = np.nonzero(picture[:, :, 0] == 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 309, 5, 314)


def test_output_is_the_crop_with_its_rim(model, plate):
    box = CropBox(40, 30, 104)
    features = model.features(np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32))
    drawn = model.generate(plate, box, features, 3)
    assert drawn.shape == (104, 104, 3)
    assert drawn.dtype == np.uint8
    crop = box.extract(plate)
    inner = np.zeros((104, 104), bool)
    inner[4:-4, 4:-4] = True
    assert np.array_equal(drawn[~inner], crop[~inner])
    assert not np.array_equal(drawn[inner], crop[inner])


def test_a_frame_does_not_depend_on_the_others(model, plate):
    features = model.features(np.random.default_rng(1).normal(0, 0.1, 32000).astype(np.float32))
    box = CropBox(-10, 30, 120)
    alone = model.generate(plate, box, features, 20)
    for index in (0, 49, 7):
        model.generate(plate, box, features, index)
    assert np.array_equal(model.generate(plate, box, features, 20), alone)


def test_the_sound_reaches_the_picture(model, plate):
    features = np.random.default_rng(1).uniform(0, 50, (40, 512)).astype(np.float32)
    box = CropBox(40, 30, 104)
    silent = model.generate(plate, box, np.zeros_like(features), 20)
    assert not np.array_equal(model.generate(plate, box, features, 20), silent)


def test_checkpoint_round_trip_reads_its_own_plan(tmp_path):
    network = randomised(UNet("ave", channels=TINY, size=160))
    save_state_dict(network, tmp_path / "0.pth")
    loaded = load_unet(tmp_path / "0.pth", "ave", size=160)
    assert loaded.channels == TINY
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)
    assert not list(tmp_path.glob(".*"))


def test_encoder_keys_with_and_without_prefix(tmp_path):
    encoder = randomised(AudioEncoder((4, 4, 8, 8)))
    save_state_dict(encoder, tmp_path / "with.pth")
    save_state_dict(encoder, tmp_path / "without.pth", strip_prefix="audio_encoder.")
    mel = torch.rand(2, 1, 80, 16)
    with torch.inference_mode():
        outputs = [load_audio_encoder(tmp_path / f"{name}.pth")(mel) for name in ("with", "without")]
    assert torch.equal(outputs[0], outputs[1])


def bad_checkpoints(folder: Path) -> dict[str, tuple[Path, str]]:
    state = UNet("ave", channels=TINY).state_dict()
    cases: dict[str, tuple[object, str]] = {
        "missing": ({k: v for k, v in state.items() if k != "outc.conv.bias"}, r"1 keys missing.*outc\.conv\.bias"),
        "surplus": ({**state, "extra.weight": torch.zeros(1)}, "1 keys too many.*extra"),
        "shape": ({**state, "outc.conv.bias": torch.zeros(4)}, r"outc\.conv\.bias must have shape \(3,\); got \(4,\)"),
        "nan": ({**state, "outc.conv.bias": torch.full((3,), torch.nan)}, r"outc\.conv\.bias are not finite"),
        "other": ({"weight": torch.zeros(2)}, "not a SyncTalk_2D U-Net"),
        "list": ([1, 2], "must hold a plain state dict"),
        "wenet": (UNet("wenet", channels=TINY).state_dict(), "was not trained in mode ave.*try mode wenet"),
    }
    paths = {}
    for name, (content, message) in cases.items():
        torch.save(content, folder / f"{name}.pth")
        paths[name] = (folder / f"{name}.pth", message)
    (folder / "text.pth").write_text("not a checkpoint")
    paths["text"] = (folder / "text.pth", "not a checkpoint of plain weights")
    torch.save(state, folder / "cut.pth")
    whole = (folder / "cut.pth").read_bytes()
    (folder / "cut.pth").write_bytes(whole[: len(whole) // 2])
    paths["cut"] = (folder / "cut.pth", "truncated")
    (folder / "empty.pth").write_bytes(b"")
    paths["empty"] = (folder / "empty.pth", "not a checkpoint")
    paths["absent"] = (folder / "absent.pth", "does not exist")
    return paths


def test_bad_checkpoints_say_what_is_wrong(tmp_path):
    for path, message in bad_checkpoints(tmp_path).values():
        with pytest.raises(ModelError, match=message):
            load_unet(path, "ave")


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"weight": Bomb()}, tmp_path / "0.pth")
    with pytest.raises(ModelError, match="plain weights"):
        load_unet(tmp_path / "0.pth", "ave")
    assert not (tmp_path / "ran").exists()


def test_latest_is_by_number_and_ignores_strays(tmp_path):
    for name in ("2.pth", "10.pth", "best.pth", "9.pth.tmp", "note.txt"):
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path) == tmp_path / "10.pth"


def workspace_with(tmp_path: Path, mode: str, card: dict | None) -> Path:
    folder = tmp_path / "checkpoint" / "ME"
    folder.mkdir(parents=True)
    save_state_dict(UNet(mode, channels=TINY), folder / "4.pth")
    if card is not None:
        (folder / "card.yaml").write_text(yaml.safe_dump(card))
    return tmp_path


def test_a_synctalk_folder_works_as_it_is(tmp_path, plate):
    workspace = workspace_with(tmp_path, "ave", None)
    with pytest.raises(ModelError, match="no audio encoder; put"):
        LipSyncModel.load("ME", workspace).features(np.zeros(16000, np.float32))
    (workspace / "model" / "checkpoints").mkdir(parents=True)
    save_state_dict(
        AudioEncoder(), workspace / "model" / "checkpoints" / "audio_visual_encoder.pth", strip_prefix="audio_encoder."
    )
    model = LipSyncModel.load("ME", workspace, device="cpu")
    assert model.size == 320
    drawn = model.generate(plate, CropBox(20, 20, 120), model.features(np.zeros(16000, np.float32)), 0)
    assert drawn.shape == (328, 328, 3)


def test_hubert_features_come_from_the_file_beside_the_sound(tmp_path, plate):
    workspace = workspace_with(tmp_path, "hubert", {"mode": "hubert", "size": 96})
    model = LipSyncModel.load("ME", workspace, device="cpu")
    sound = tmp_path / "take.wav"
    with pytest.raises(ModelError, match=r"aud_hu\.npy"):
        model.features(np.zeros(16000, np.float32), sound)
    np.save(tmp_path / "aud_hu.npy", np.zeros((25, 7), np.float32))
    with pytest.raises(ModelError, match="2048 numbers per frame"):
        model.features(np.zeros(16000, np.float32), sound)
    np.save(tmp_path / "aud_hu.npy", np.random.default_rng(0).normal(size=(25, 2, 1024)).astype(np.float32))
    features = model.features(np.zeros(16000, np.float32), sound)
    assert features.shape == (25, 2048)
    assert model.generate(plate, CropBox(20, 20, 104), features, 24).shape == (104, 104, 3)


def test_unknown_models_and_bad_cards(tmp_path):
    with pytest.raises(ModelError, match=r"there are: .*LS1"):
        LipSyncModel.load("nobody")
    with pytest.raises(ModelError, match="does not exist"):
        LipSyncModel.load("../LS1")
    workspace = workspace_with(tmp_path, "ave", {"mode": "ave", "size": 100})
    with pytest.raises(ModelError, match="multiple of 32"):
        LipSyncModel.load("ME", workspace)
    (tmp_path / "checkpoint" / "ME" / "card.yaml").write_text("- a\n- b\n")
    with pytest.raises(ModelError, match="must be a mapping"):
        LipSyncModel.load("ME", workspace)
    assert {"LS1", "ME"} <= set(list_models(workspace))
    assert LipSyncModel.load("LS1", workspace, device="cpu").name == "LS1"


def test_asking_for_a_gpu_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match="offers no CUDA GPU"):
        pick_device("cuda")
    assert pick_device("auto").type == "cpu"


def test_the_bundled_model_is_whole():
    files = list_models()["LS1"]
    card = files.card
    assert card["mode"] == "ave"
    assert set(card["footage"]) == {"train.mp4", "train_b.mp4", "train_c.mp4", "train_d.mp4"}
    assert all(len(entry["sha256"]) == 64 for entry in card["footage"].values())
    assert files.encoder is not None
    assert files.checkpoint.stat().st_size + files.encoder.stat().st_size < 30e6
    assert json.dumps(card)


def test_features_made_on_demand_are_those_of_the_whole_sound():
    """In any order, from several threads' worth of blocks, at the ends, and for sounds shorter than a window."""
    torch.manual_seed(0)
    encoder, rng = AudioEncoder((4, 4, 8, 8)).eval(), np.random.default_rng(0)
    for samples in (100, 3300, 80_000):
        wav = rng.normal(0, 0.1, samples).astype(np.float32)
        whole = encode_mel(mel_spectrogram(wav), encoder)
        lazy = SoundFeatures(wav, encoder)
        assert (lazy.shape, len(lazy), lazy.ndim) == (whole.shape, len(whole), 2)
        order = rng.permutation(len(whole))
        # Another number of windows at once moves the last bits.
        assert np.allclose(lazy[order], whole[order], atol=1e-5)
        assert np.array_equal(SoundFeatures(wav, encoder)[order[::-1]], np.asarray(lazy)[order[::-1]])
        for index in (0, len(whole) // 2, len(whole) - 1, len(whole) + 20):
            assert np.array_equal(feature_context(lazy, index, 8), feature_context(np.asarray(lazy), index, 8))


def test_features_made_on_demand_keep_little(monkeypatch):
    monkeypatch.setattr("models.audio_features.LAZY_BLOCKS_KEPT", 2)
    lazy = SoundFeatures(np.zeros(160_000, np.float32), AudioEncoder((4, 4, 8, 8)).eval())
    assert np.asarray(lazy).shape == lazy.shape
    assert len(lazy._blocks) == 2
    with pytest.raises(ValueError, match="finite"):
        SoundFeatures(np.array([0, np.nan], np.float32), AudioEncoder((4, 4, 8, 8)).eval())
