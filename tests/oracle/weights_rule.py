"""Deterministic weights and inputs for the conformance check (own code, numpy only).

Everything comes from the raw 64-bit stream of PCG64 (stream-stable across
numpy versions), mapped to uniform numbers of unit variance, so the values are
bit-exact on any machine.

  weight_for(key, shape) -> float32 array (int64 zero for num_batches_tracked)
  state_dict({key: [shape, dtype]}) -> {key: array}
  image_input(), audio_input(mode), mel_input(), wav(), features(mode)
"""

import zlib

import numpy as np

BATCH = 2
AUDIO_SHAPE = {"ave": (32, 16, 16), "hubert": (32, 32, 32), "wenet": (256, 16, 32)}
FEATURE_DIM = {"ave": 512, "hubert": 2048, "wenet": 8192}  # flat numbers per feature step
FEATURE_STEPS = 40
FEATURE_INDICES = (0, 3, 20, 39)  # 39 = last


def uniform01(name, n):
    raw = np.random.PCG64(zlib.crc32(name.encode("utf-8"))).random_raw(int(n))
    return (raw >> np.uint64(11)).astype(np.float64) * (2.0**-53)


def unit(name, shape):
    """Uniform on [-sqrt 3, sqrt 3): zero mean, unit variance."""
    n = int(np.prod(shape)) if len(shape) else 1
    return ((2.0 * uniform01(name, n) - 1.0) * np.sqrt(3.0)).reshape(shape)


def weight_for(key, shape):
    shape = tuple(shape)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        v = 0.6 + 0.8 * uniform01(key, int(np.prod(shape))).reshape(shape)
    elif leaf == "running_mean" or leaf == "bias":
        v = 0.15 * unit(key, shape)
    elif leaf == "weight" and len(shape) == 4:
        fan_in = shape[1] * shape[2] * shape[3]
        v = unit(key, shape) * np.sqrt(1.5 / fan_in)
        if key.startswith("outc."):  # keeps the sigmoid out of saturation
            v = v * 0.07
    elif leaf == "weight":  # scale of a batch norm
        v = 1.0 + 0.2 * unit(key, shape)
    else:
        raise KeyError(key)
    return v.astype(np.float32)


def state_dict(keys):
    return {k: weight_for(k, s) for k, (s, _dtype) in keys.items()}


def image_input(batch=BATCH, size=320):
    """[B,6,H,W] in 0..1: a blocky colour image plus fine noise, then the same
    image with the inner rectangle set to zero (rows 5..309, columns 5..314 at 320)."""
    cells = size // 16
    coarse = uniform01("image.coarse", batch * 3 * cells * cells).reshape(batch, 3, cells, cells)
    img = 0.8 * np.repeat(np.repeat(coarse, 16, 2), 16, 3)
    img = img + 0.2 * uniform01("image.fine", batch * 3 * size * size).reshape(batch, 3, size, size)
    masked = img.copy()
    masked[:, :, 5 : size - 10, 5 : size - 5] = 0.0
    return np.concatenate([img, masked], axis=1).astype(np.float32)


def audio_input(mode, batch=BATCH):
    shape = (batch,) + AUDIO_SHAPE[mode]
    v = unit("audio." + mode, shape)
    return (np.abs(v) if mode == "ave" else v).astype(np.float32)


def mel_input(batch=8):
    """[B,1,80,16] inside the -4..4 range of the mel front end."""
    return (4.0 * (2.0 * uniform01("mel.windows", batch * 80 * 16) - 1.0)).reshape(batch, 1, 80, 16).astype(np.float32)


def features(mode, steps=FEATURE_STEPS):
    return unit("features." + mode, (steps, FEATURE_DIM[mode])).astype(np.float32)


def wav(seconds=2.0, sr=16000):
    """Mono float32: linear chirp 80 Hz to 7 kHz plus noise; exact silence in
    0.9 s..1.1 s so the floor of the scale is reached."""
    n = int(seconds * sr)
    t = np.arange(n) / sr
    f0, f1 = 80.0, 7000.0
    phase = 2 * np.pi * (f0 * t + 0.5 * (f1 - f0) / seconds * t * t)
    x = 0.6 * np.sin(phase) + 0.05 * (2.0 * uniform01("wav.noise", n) - 1.0)
    x[(t >= 0.9) & (t < 1.1)] = 0.0
    return x.astype(np.float32)
