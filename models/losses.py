"""What the U-Net is trained on: the picture, its mouth more than the rest, and its edges."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_loss(drawn: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """L1 of the picture plus L1 of its horizontal and vertical differences, both weighted.

    drawn, target: (B, 3, s, s) in 0..1; weight: (B, 1, s, s), see `dataset.network_batch`.
    """
    error = drawn - target
    across = (error[..., :, 1:] - error[..., :, :-1]).abs() * weight[..., :, 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
    return (error.abs() * weight).mean() + across.mean() + down.mean()


def mouth_psnr_db(drawn: Tensor, target: Tensor, weight: Tensor) -> float:
    """PSNR in dB, pooled over the mouth boxes (where weight is above 1) of all pictures; peak 1."""
    inside = weight.expand_as(drawn) > 1
    mean_square = torch.mean((drawn[inside] - target[inside]) ** 2).item()
    return -10 * torch.log10(torch.tensor(max(mean_square, 1e-12))).item()
