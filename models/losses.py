"""What the U-Net is trained on: the picture, its mouth more than the rest, and its edges."""

from __future__ import annotations

from collections.abc import Callable

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


CELL_PX = 8


def drawing_loss(drawn: Tensor, target: Tensor, weight: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
    """What the U-Net descends: half of weighted_loss, and cell_loss."""
    return 0.5 * weighted_loss(drawn, target, weight) + cell_loss(drawn, target, weight, corner)


def cell_loss(drawn: Tensor, target: Tensor, weight: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
    """L1 between the sorted values of 8 x 8 px cells, for the picture and its differences in four directions.

    Where the exact place of an edge cannot be known, L1 by pixel is lowest for a blur; this asks for the right
    amount of teeth, dark and stubble in about the right place (sliced Wasserstein distance within a cell).
    corner: row and column, 0 .. 7, where the grid of cells begins; another one at each step hides the grid.
    """
    share, known = _cells(weight, corner).mean(dim=-1, keepdim=True), weight > 0
    terms = []
    for view in (_itself, *_DIFFERENCES):
        a, b = (_cells(view(picture * known), corner).sort(dim=-1).values for picture in (drawn, target))
        terms.append(((a - b).abs() * share).mean())
    return torch.stack(terms).sum()


def _itself(picture: Tensor) -> Tensor:
    return picture


_DIFFERENCES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda p: p[..., :, 1:] - p[..., :, :-1],
    lambda p: p[..., 1:, :] - p[..., :-1, :],
    lambda p: p[..., 1:, 1:] - p[..., :-1, :-1],
    lambda p: p[..., 1:, :-1] - p[..., :-1, 1:],
)
"""Across, down and both diagonals: with the first two alone the network hatches the skin, since slanted lines have
the same differences as stubble."""


def _cells(picture: Tensor, corner: tuple[int, int]) -> Tensor:
    """(B, C, H, W) as (B, C, cells, 64); H and W less than a cell short of a whole number are filled with zeros."""
    top, left = corner
    side = -(-max(picture.shape[-2:]) // CELL_PX) * CELL_PX
    height, width = picture.shape[-2:]
    whole = torch.nn.functional.pad(picture, (0, side - width, 0, side - height))
    rows, columns = (side - CELL_PX) // CELL_PX, (side - CELL_PX) // CELL_PX
    cut = whole[..., top : top + rows * CELL_PX, left : left + columns * CELL_PX]
    cells = cut.unflatten(-1, (columns, CELL_PX)).unflatten(-3, (rows, CELL_PX))
    return cells.transpose(-3, -2).flatten(-4, -3).flatten(-2)


def mouth_psnr_db(drawn: Tensor, target: Tensor, weight: Tensor) -> float:
    """PSNR in dB, pooled over the mouth boxes (where weight is above 1) of all pictures; peak 1."""
    inside = weight.expand_as(drawn) > 1
    mean_square = torch.mean((drawn[inside] - target[inside]) ** 2).item()
    return -10 * torch.log10(torch.tensor(max(mean_square, 1e-12))).item()
