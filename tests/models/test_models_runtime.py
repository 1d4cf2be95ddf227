"""The runtimes: each draws what the plain network draws, the same in any order, and says what it is."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from blending.types import CropBox
from models import LipSyncModel, ModelError, benchmark, openvino_graph
from models.audio_features import FEATURE_WIDTHS, AudioEncoder, feature_context, feature_window
from models.cache import ByteCache
from models.runtime import RUNTIMES, SOUND_BATCH, Kept, TorchRuntime, make_runtime, pick_device, pick_runtime
from models.unet import AUDIO_SHAPES, FULL_CHANNELS, UNet

REPO = Path(__file__).parents[2]
ORACLE = REPO / "tests" / "oracle"
sys.path.insert(0, str(ORACLE))
import weights_rule  # noqa: E402

TINY = (4, 4, 8, 8, 16)
CPU = torch.device("cpu")


def network_by_rule(mode="ave", channels=TINY, size=96) -> UNet:
    """Weights by the oracle's rule: every part of the input shows in the output."""
    network = UNet(mode, channels=channels, size=size)
    for key, value in network.state_dict().items():
        value.copy_(torch.from_numpy(weights_rule.weight_for(key, value.shape)))
    return network.eval()


def inputs(network: UNet, count=SOUND_BATCH):
    picture = weights_rule.image_input(1, network.size)[0].transpose(1, 2, 0)
    return np.ascontiguousarray(picture), weights_rule.audio_input(network.mode, count)


def plainly(network: UNet, picture, window):
    with torch.inference_mode():
        drawn = network(torch.from_numpy(picture[None]).permute(0, 3, 1, 2), torch.from_numpy(window[None]))
    return drawn[0].permute(1, 2, 0).numpy()


def levels_apart(runtime, network: UNet) -> float:
    picture, windows = inputs(network)
    kept, maps = runtime.encode_picture(picture), runtime.encode_sound(windows).parts
    assert len(maps) == SOUND_BATCH
    drawn = runtime.draw([kept] * SOUND_BATCH, maps)
    assert drawn.shape == (SOUND_BATCH, network.size, network.size, 3)
    plain = [plainly(network, picture, window) for window in windows]
    return float(np.abs(drawn - np.stack(plain)).max()) * 255


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("mode", AUDIO_SHAPES)
@pytest.mark.parametrize("size", [64, 96, 160])
def test_every_runtime_draws_what_the_plain_network_draws(name, mode, size):
    network = network_by_rule(mode, size=size)
    runtime, _ = make_runtime(network, name, "cpu", threads=1)
    assert runtime.name == name
    assert runtime.exact
    assert levels_apart(runtime, network) < 0.01


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("mode", AUDIO_SHAPES)
def test_the_full_network_in_every_runtime(name, mode):
    network = network_by_rule(mode, FULL_CHANNELS, 320)
    runtime, _ = make_runtime(network, name, "cpu", threads=1)
    picture, windows = inputs(network)
    maps = runtime.encode_sound(windows).parts
    drawn = runtime.draw([runtime.encode_picture(picture)], maps[:1])[0]
    assert np.abs(drawn - plainly(network, picture, windows[0])).max() * 255 < 0.01
    if mode == "ave":
        known = np.load(ORACLE / "io_ave.npz")["output"][0].transpose(1, 2, 0)
        assert np.abs(drawn - known).max() < 2e-4


@pytest.mark.parametrize("strip_bytes", [4_000, 16_000, 100_000, 10**9])
def test_strips_of_rows_change_nothing(monkeypatch, strip_bytes):
    monkeypatch.setattr(openvino_graph, "STRIP_BYTES", strip_bytes)
    network = network_by_rule(size=96)
    assert levels_apart(make_runtime(network, "openvino", threads=1)[0], network) < 0.01


def test_a_wider_input_block_and_own_plans():
    network = network_by_rule(channels=(6, 10, 12, 14, 18), size=64)
    assert levels_apart(make_runtime(network, "openvino", threads=1)[0], network) < 0.01


# A frame is a pure function of plate, box, features and index


def frames_to_draw(count=6):
    rng = np.random.default_rng(3)
    plates = rng.integers(0, 256, (count, 150, 160, 3), dtype=np.uint8)
    features = rng.uniform(0, 3, (40, 512)).astype(np.float32)
    return plates, CropBox(20, 14, 120), features


def model_with(runtime, cache_bytes=1 << 26, padding="zeros"):
    network = network_by_rule()
    return LipSyncModel(
        "t", network, None, card={"padding": padding}, device="cpu", runtime=runtime, threads=1, cache_bytes=cache_bytes
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_order_cache_and_instance_do_not_show_in_a_frame(runtime):
    plates, box, features = frames_to_draw()
    rng = np.random.default_rng(4)
    wanted = [(int(plate), int(index)) for plate, index in itertools.product(range(len(plates)), (0, 7, 8, 25, 39, 60))]
    fresh = {
        one: model.generate(plates[one[0]], box, features, one[1]) for model in [model_with(runtime)] for one in wanted
    }
    one_kept = model_with(runtime).runtime.encode_picture(np.zeros((96, 96, 6), np.float32)).nbytes
    for cache_bytes in (0, one_kept, 3 * one_kept, 1 << 30):
        model = model_with(runtime, cache_bytes)
        for place in rng.permutation(np.repeat(np.arange(len(wanted)), 2)):
            plate, index = wanted[place]
            assert np.array_equal(model.generate(plates[plate], box, features, index), fresh[plate, index])
        assert model.pictures.kept_bytes <= cache_bytes
        assert (model.pictures.hits > 0) == (cache_bytes > 0)
    assert len({frame.tobytes() for frame in fresh.values()}) > len(plates)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_several_frames_at_once_are_the_single_ones(runtime):
    plates, box, features = frames_to_draw()
    model = model_with(runtime)
    together = model.generate_many(list(plates), [box] * len(plates), features, [3, 9, 10, 11, 30, 31])
    alone = [model.generate(plate, box, features, i) for plate, i in zip(plates, (3, 9, 10, 11, 30, 31), strict=True)]
    difference = np.abs(np.stack(together).astype(int) - np.stack(alone))
    assert difference.max() <= (0 if runtime == "openvino" else 1)


def test_what_is_kept_is_found_by_content_and_not_by_place():
    plates, box, features = frames_to_draw()
    model = model_with("openvino")
    plate, rows = plates[0].copy(), features.copy()
    first = model.generate(plate, box, rows, 5)
    plate[:] = plates[1]
    rows[:] = features[::-1]
    assert np.array_equal(model.generate(plate, box, rows, 5), model_with("openvino").generate(plates[1], box, rows, 5))
    assert np.array_equal(model.generate(plates[0], box, features, 5), first)
    hits = model.pictures.hits
    model.generate(plates[0].copy(), box, features.copy(), 6)
    assert model.pictures.hits == hits + 1


@pytest.mark.parametrize("padding", ["zeros", "edge"])
def test_blocks_of_windows_are_the_single_windows(padding):
    features = np.random.default_rng(0).normal(size=(21, 3)).astype(np.float32)
    for first in (0, 8, 16, 24, 80):
        context = feature_context(features, first, 8, padding=padding)
        for k in range(8):
            assert np.array_equal(context[k : k + 16], feature_window(features, first + k, padding=padding))


@pytest.mark.parametrize("index", [0, 20, 39, 45, 60])
def test_padding_is_the_cards(index):
    plates, box, features = frames_to_draw()
    drawn = {p: model_with("openvino", padding=p).generate(plates[0], box, features, index) for p in ("zeros", "edge")}
    assert np.array_equal(drawn["zeros"], drawn["edge"]) == (index == 20)


def test_threads_share_one_model():
    from concurrent.futures import ThreadPoolExecutor

    plates, box, features = frames_to_draw()
    model = model_with("openvino", cache_bytes=1 << 22)
    alone = [model.generate(plates[i % 6], box, features, i) for i in range(24)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: model.generate(plates[i % 6], box, features, i), range(24)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_features_of_another_width_are_refused():
    plates, box, _ = frames_to_draw()
    with pytest.raises(ValueError, match=r"mode ave must have shape \(rows, 512\); got \(40, 2048\)"):
        model_with("torch").generate(plates[0], box, np.zeros((40, FEATURE_WIDTHS["hubert"]), np.float32), 0)


def test_the_cache_stays_within_its_bytes():
    cache, made = ByteCache[Kept](100), []

    def value(key, size):
        return cache.get(key, lambda: made.append(key) or Kept([key], size))

    for key in "abc":
        value(key, 40)
    assert cache.kept_bytes == 80
    value("b", 40)
    value("d", 30)  # c goes: b was used last
    assert [value(key, 40).parts for key in "bd"] == [["b"], ["d"]]
    assert made == ["a", "b", "c", "d"] or made == ["a", "b", "c", "d", "b"]
    assert value("huge", 101).parts == ["huge"]
    assert cache.kept_bytes <= 100
    assert (cache.hits, cache.misses) == (len("bbd"), len(made))
    with pytest.raises(ValueError, match="0 or more"):
        ByteCache(-1)


# Chosen by name, reported, no silent fallback


def test_a_runtime_is_chosen_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_runtime() == ("openvino", CPU)
    assert pick_runtime("torch") == ("torch", CPU)
    with pytest.raises(ModelError, match="runtime must be one of auto, torch, openvino; got 'onnx'"):
        pick_runtime("onnx")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_runtime() == ("torch", torch.device("cuda"))
    assert pick_runtime("openvino") == ("openvino", CPU)
    with pytest.raises(ModelError, match="openvino runs on the CPU, not on cuda; use --device cpu or --runtime torch"):
        pick_runtime("openvino", "cuda")
    with pytest.raises(ModelError, match="there are 2 GPUs; use cuda:0 to cuda:1"):
        pick_device("cuda:2")


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:x", ""])
def test_unknown_devices(device):
    with pytest.raises(ModelError, match="device must be auto, cpu, cuda or cuda:N"):
        pick_device(device)


def test_without_openvino_nothing_else_takes_its_place(monkeypatch):
    monkeypatch.setitem(sys.modules, "models.openvino_runtime", None)
    with pytest.raises(
        ModelError, match=r"OpenVINO cannot be used here.*pip install -r requirements\.txt.*--runtime torch"
    ):
        make_runtime(network_by_rule(), "auto", "cpu")


def test_what_runs_is_said():
    assert model_with("openvino").runtime.about == "openvino on cpu, float32, 1 thread"
    assert model_with("torch").runtime.about == "torch on cpu, float32, 1 thread"
    half = TorchRuntime(network_by_rule(), CPU, threads=1, precision="float16")
    assert half.about == "torch on cpu, float16, 1 thread"
    assert not half.exact


def test_half_precision_is_measured_before_it_is_used():
    network = network_by_rule()
    runtime = TorchRuntime(network, CPU, threads=1, precision="float16")
    assert 0 < levels_apart(runtime, network) < 2
    assert TorchRuntime(network, CPU, threads=1)._half_is_exact_enough() in (True, False)
    with torch.no_grad():
        network.outc.conv.weight *= 300  # what half precision rounds now tips pixels over
    assert not TorchRuntime(network, CPU, threads=1)._half_is_exact_enough()


# Nothing leaves the machine

CONVERSION = """
import sys, threading
import torch, models
from models.audio_features import AudioEncoder
from models.unet import UNet
tried = []
WATCHED = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec")
def watch(event, args):
    if event.startswith("socket.") or event in WATCHED:
        tried.append(event)
        raise OSError(f"blocked: {event}")
sys.addaudithook(watch)
threads = threading.active_count()
model = models.LipSyncModel("t", UNet("ave", channels=(4, 4, 8, 8, 16), size=64).eval(), None, device="cpu")
print(model.runtime.name, tried, threading.active_count() - threads)
"""


def test_a_conversion_reaches_for_no_network(tmp_path):
    """Sockets and new processes blocked (OpenVINO reports from a process of its own), and nothing left at home."""
    done = subprocess.run(
        [sys.executable, "-c", CONVERSION], cwd=REPO, capture_output=True, text=True, timeout=120,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "openvino [] 0"), done.stderr
    assert list(tmp_path.rglob("*telemetry*")) == []


# The benchmark


def test_the_benchmark_prints_its_table(capsys):
    assert benchmark.main(["--plan", "half", "--size", "64", "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    for text in ("torch eager, batch 1", "runtime openvino, plate frame kept", "GFLOP/s", "LipSyncModel.generate"):
        assert text in said
    assert benchmark.main(["--size", "100"]) == 2
    assert "multiple of 32" in capsys.readouterr().err


def test_rates_of_batches_are_measured(monkeypatch):
    """On the CPU, since there may be no GPU; with one, the benchmark runs this there."""
    monkeypatch.setattr(benchmark, "make_runtime", lambda network, name, _: make_runtime(network, name, "cpu"))
    rates = benchmark.gpu_rates(network_by_rule(size=64), rounds=1)
    assert [batch for _, batch, _ in rates] == [1, 4, 16]
    assert all(rate > 0 for *_, rate in rates)


def test_multiplications_are_those_of_the_format():
    assert benchmark.giga_macs(UNet("ave").eval()) == pytest.approx(4.886, abs=0.001)
    keys = json.loads((ORACLE / "unet_keys.json").read_text())
    assert set(keys) == {"ave", "hubert", "wenet", "audio_encoder"}
    assert AudioEncoder().channels == (32, 64, 128, 256)
