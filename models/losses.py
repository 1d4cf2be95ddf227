"""What the U-Net is trained on: the picture, its mouth more than the rest, and its edges."""

from __future__ import annotations

import torch
from torch import Tensor

MOUTH_WEIGHT = 8.0


def mouth_weighted_loss(drawn: Tensor, target: Tensor, mouth: Tensor) -> Tensor:
    """L1 of the picture plus L1 of its horizontal and vertical differences, both weighted 1 + 8 in the mouth.

    drawn, target: (B, 3, s, s) in 0..1; mouth: (B, 1, s, s), 1 inside the mouth box, else 0.
    """
    weight = 1 + MOUTH_WEIGHT * mouth
    error = drawn - target
    across = (error[..., :, 1:] - error[..., :, :-1]).abs() * weight[..., :, 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
    return (error.abs() * weight).mean() + across.mean() + down.mean()


def peak_signal_to_noise_db(drawn: Tensor, target: Tensor, mouth: Tensor) -> float:
    """PSNR in dB, pooled over the mouth boxes of all pictures (peak 1)."""
    inside = mouth.expand_as(drawn) > 0
    mean_square = torch.mean((drawn[inside] - target[inside]) ** 2).item()
    return -10 * torch.log10(torch.tensor(max(mean_square, 1e-12))).item()
