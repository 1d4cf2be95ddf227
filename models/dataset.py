"""Training material as arrays: face crops, lip distances, sound variants. No video, no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from librosa.effects import pitch_shift, time_stretch
from numpy.typing import NDArray
from torch import Tensor

from blending.types import CropBox, Frame, Landmarks
from models.audio_features import MEL_CEILING, SAMPLE_RATE, feature_window, mel_spectrogram, window_count
from models.lip_sync import RIM_PX, crop_for_network, mask_lower_face
from models.unet import AUDIO_SHAPES

PITCH_SEMITONES = (0, -5, -3, 3, 5, -6, -4, -2, 2, 4, 6)
"""Sound variants a network is trained on, so that it follows voices it never heard: .85 of an unheard voice's opening
without the last six and other tempos, .88 with them."""

TEMPOS = (0.85, 1.15)
TEMPO_SEMITONES = (0, -4, 4)
"""Slower and faster speech, each at these pitches; the lips go along."""

LIP_DISTANCES = 4
"""Opening, width, outer height of the lips and chin drop, each over the outer-eye distance."""

MOUTH_BOX_SCALE = 1.2

MOUTH_WEIGHT = 9.0
"""What a pixel of the mouth box counts in the loss; the others count 1."""

POSE_CANDIDATES = 32
"""So many frames are looked at for a reference in the pose of the frame to draw."""

FAR_FRAMES = 25
"""A reference lies at least so far away in time that its mouth says nothing about the mouth to draw."""


@dataclass(frozen=True)
class Hearing:
    """One way a take sounds: mel (80, columns) and the lip distances (frames, 4) at its tempo; frames from `split` on
    are held out."""

    mel: NDArray[np.float32]
    lips: NDArray[np.float32]
    split: int


@dataclass(frozen=True)
class Take:
    """One piece of footage with its sound.

    crops: uint8 (T, s + 8, s + 8, 3); mouths: int (T, 4), x0 y0 x1 y1 in the network's picture;
    lips: float32 (T, 4), see LIP_DISTANCES; pose: float32 (T, 17, 2), see pose_points; mels: one (80, columns)
    spectrogram per pitch variant, an empty tuple for footage without sound; retimed: spectrogram and tempo of each
    variant at another tempo. Frames from `split` on are held out. mouth_known: whether the mouth belongs to the
    sound; where it does not, it is left out of the loss.
    """

    name: str
    crops: NDArray[np.uint8]
    mouths: NDArray[np.int32]
    lips: NDArray[np.float32]
    pose: NDArray[np.float32]
    mels: tuple[NDArray[np.float32], ...]
    split: int
    retimed: tuple[tuple[NDArray[np.float32], float], ...] = ()
    mouth_known: bool = True


def lip_distances(landmarks: Landmarks) -> NDArray[np.float32]:
    """The four distances the audio encoder is taught on."""
    lips = landmarks.region("outer_lip")
    unit = max(landmarks.eye_distance_px, 1e-6)
    height = (lips[:, 1].max() - lips[:, 1].min()) / unit
    drop = float(np.linalg.norm(landmarks.anchor("chin") - landmarks.region("nose_base").mean(axis=0))) / unit
    return np.array([landmarks.lip_opening, landmarks.lip_width, height, drop], np.float32)


def mouth_box(landmarks: Landmarks, box: CropBox, size: int) -> NDArray[np.int32]:
    """Box around the lips, 1.2 x the mouth's width, in pixels of the network's picture: x0 y0 x1 y1."""
    lips = landmarks.region("outer_lip")
    centre = (lips.min(axis=0) + lips.max(axis=0)) / 2
    half = MOUTH_BOX_SCALE / 2 * max(float(np.ptp(lips[:, 0])), float(np.ptp(lips[:, 1])))
    scale = (size + 2 * RIM_PX) / box.side
    corners = np.concatenate([centre - half, centre + half]) - np.array([box.x0, box.y0] * 2) + 0.5
    return np.clip(np.rint(corners * scale - RIM_PX), 0, size).astype(np.int32)


def crop_and_mouth(frame: Frame, landmarks: Landmarks, size: int) -> tuple[Frame, NDArray[np.int32]]:
    """Training crop (bilinear, as the public format trains) and mouth box of one frame."""
    box = CropBox.from_landmarks(landmarks)
    crop = crop_for_network(frame, box, size, interpolation=cv2.INTER_LINEAR)
    return crop, mouth_box(landmarks, box, size)


def pose_points(landmarks: Landmarks, box: CropBox, size: int) -> NDArray[np.float32]:
    """17 points the mouth does not move, (17, 2) in px of the (size + 8)-square: eye corners, nose, ends of the jaw."""
    marks = landmarks.to_scheme(68)
    eyes = [marks.region(name)[[0, 3]] for name in ("left_eye", "right_eye")]
    jaw = marks.region("jaw")[[0, 1, -2, -1]]
    points = np.concatenate([*eyes, marks.region("nose_bridge"), marks.region("nose_base"), jaw])
    return (points - (box.x0 - 0.5, box.y0 - 0.5)).astype(np.float32) * ((size + 2 * RIM_PX) / box.side) - 0.5


def affine_fits(
    sources: NDArray[np.float32], target: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares affine maps (C, 2, 3) of point sets (C, K, 2) onto one (K, 2), and what remains (C,), RMS in px."""
    known = np.concatenate([sources, np.ones((*sources.shape[:2], 1))], axis=2)
    maps = np.linalg.pinv(known) @ target
    rest = known @ maps - target
    return maps.transpose(0, 2, 1), np.sqrt((rest**2).sum(axis=2).mean(axis=1))


def pick_reference(take: Take, frame: int, rng: np.random.Generator) -> int:
    """Of some frames before the split and far from this one in time, the one nearest in pose.

    At inference the reference is the frame itself: one in another pose would teach the network that the reference
    tells neither where nose and cheeks are nor what the skin looks like there, and one of the same moment that it
    tells the mouth.
    """
    far = min(FAR_FRAMES, take.split // 4)
    drawn = rng.integers(take.split, size=POSE_CANDIDATES)
    drawn = np.where(np.abs(drawn - frame) < far, (drawn + take.split // 2) % take.split, drawn)
    return int(drawn[affine_fits(take.pose[drawn], take.pose[frame])[1].argmin()])


def reference_crop(take: Take, frame: int, reference: int) -> Frame:
    """The reference's crop, moved onto the pose of `frame`; the frame's own crop is given as it is."""
    if reference == frame:
        return take.crops[frame]
    matrix = affine_fits(take.pose[reference][None], take.pose[frame])[0][0]
    side = take.crops.shape[1]
    moved = cv2.warpAffine(take.crops[reference], matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def pitch_variants(wav: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Mel spectrograms of the sound at PITCH_SEMITONES, all of one length."""
    return tuple(mel_spectrogram(_shifted(wav, step)) for step in PITCH_SEMITONES)


def tempo_variants(wav: NDArray[np.float32]) -> tuple[tuple[NDArray[np.float32], float], ...]:
    """Mel spectrograms at other tempos, with the tempo."""
    return tuple(
        (mel_spectrogram(time_stretch(_shifted(wav, step), rate=tempo)), tempo)
        for tempo in TEMPOS
        for step in TEMPO_SEMITONES
    )


def _shifted(wav: NDArray[np.float32], semitones: int) -> NDArray[np.float32]:
    return wav if semitones == 0 else pitch_shift(wav, sr=SAMPLE_RATE, n_steps=semitones)


def hearings(take: Take, shortest: int) -> list[Hearing]:
    """Every way the take sounds, as it is first; variants with fewer than `shortest` frames to learn from left out."""
    found = [Hearing(mel, take.lips, take.split) for mel in take.mels]
    for mel, tempo in take.retimed:
        places = np.arange(int(len(take.lips) / tempo)) * tempo
        lips = [np.interp(places, np.arange(len(take.lips)), distance) for distance in take.lips.T]
        split = min(int(take.split / tempo) - 1, window_count(mel.shape[1]))
        found.append(Hearing(mel, np.stack(lips, axis=1).astype(np.float32), split))
    return [found[0], *(one for one in found[1:] if one.split >= shortest)]


def disturb_mel(mel: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Mild gain (+-8 dB), spectral tilt (+-6 dB) and background noise, applied to a normalised mel."""
    gain = rng.uniform(-0.65, 0.65)
    tilt = rng.uniform(-0.5, 0.5) * np.linspace(-1, 1, len(mel))[:, None]
    disturbed = mel + np.where(mel > -MEL_CEILING, gain + tilt, 0)
    floor = rng.uniform(-MEL_CEILING - 1, -2.2)
    noise = floor + 0.3 * rng.standard_normal(mel.shape)
    return np.clip(np.maximum(disturbed, noise), -MEL_CEILING, MEL_CEILING).astype(np.float32)


def network_batch(
    takes: Sequence[Take],
    picks: Sequence[tuple[int, int, int]],
    features: Sequence[Sequence[NDArray[np.float32]]],
    variants: Sequence[int],
    *,
    mode: str = "ave",
    rng: np.random.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tensors (image (B, 6, s, s), audio (B, C, H, W), target (B, 3, s, s), weight (B, 1, s, s)).

    picks: (take, frame, reference frame) per sample; features[take][variant]: feature rows. weight: 1, in
    the mouth box MOUTH_WEIGHT, or 0 for a take whose mouth does not belong to its sound.
    With an rng the samples are augmented: horizontal flip, colour jitter of the *input only* (so that
    the network does not learn to follow the plate's colour: the blend does that), rows of
    the audio window beyond a random clip edge set to zero.
    """
    images, audios, targets, weights = [], [], [], []
    for (take, frame, reference), variant in zip(picks, variants, strict=True):
        inner = slice(RIM_PX, -RIM_PX)
        target = takes[take].crops[frame, inner, inner].astype(np.float32) / np.float32(255)
        other = reference_crop(takes[take], frame, reference)[inner, inner].astype(np.float32) / np.float32(255)
        weight = np.ones((*target.shape[:2], 1), np.float32)
        x0, y0, x1, y1 = takes[take].mouths[frame]
        weight[y0:y1, x0:x1] = MOUTH_WEIGHT if takes[take].mouth_known else 0
        pair = np.concatenate([other, target], axis=2)
        window = feature_window(features[take][variant], frame)
        if rng is not None:
            pair = jitter_colour(pair, rng)
            if rng.random() < 0.5:
                pair, target, weight = pair[:, ::-1].copy(), target[:, ::-1].copy(), weight[:, ::-1].copy()
            if rng.random() < 0.1:
                rows = int(rng.integers(1, 8))
                window[: rows if rng.random() < 0.5 else 0] = 0
                window[len(window) - rows if rng.random() < 0.5 else len(window) :] = 0
        mask_lower_face(pair[..., 3:])
        images.append(pair)
        audios.append(window.reshape(AUDIO_SHAPES[mode]))
        targets.append(target)
        weights.append(weight)

    def channels_first(pictures: list[NDArray[np.float32]]) -> Tensor:
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    return channels_first(images), torch.from_numpy(np.stack(audios)), channels_first(targets), channels_first(weights)


def jitter_colour(pictures: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Gain .75-1.2, gain per channel .9-1.12 and gamma e^+-.25 on (s, s, 6), the same for both crops;
    a quarter of the samples stays untouched."""
    if rng.random() < 0.25:
        return pictures
    gains = np.float32(rng.uniform(0.75, 1.2)) * rng.uniform(0.9, 1.12, 3).astype(np.float32)
    gamma = np.float32(np.exp(rng.uniform(-0.25, 0.25)))
    return np.clip(pictures**gamma * np.tile(gains, 2), 0, 1)
