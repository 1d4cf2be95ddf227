"""The SyncTalk_2D U-Net: a face crop, the same crop with its lower part masked, and a window of
audio features in; the crop with its mouth redrawn out.

Layout and state-dict keys follow the public SyncTalk_2D format, so that its checkpoints load as
they are. Building blocks are MobileNetV2 inverted residuals (Sandler et al. 2018), expansion 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FULL_CHANNELS = (32, 64, 128, 256, 512)
HALF_CHANNELS = (16, 32, 64, 128, 256)

AUDIO_SHAPES: dict[str, tuple[int, int, int]] = {
    "ave": (32, 16, 16),
    "hubert": (32, 32, 32),
    "wenet": (256, 16, 32),
}
"""Shape (C, H, W) of one 16-step window of audio features, per mode, as the network takes it."""

FORMAT_SIZE = 320
"""Side in px of the network's picture in the public format; its audio map is 10 x 10."""


class InvertedResidual(nn.Module):
    """1x1 expand, 3x3 depthwise, 1x1 project, each with batch norm; no activation at the end."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, residual: bool) -> None:
        super().__init__()
        if residual and (stride != 1 or inputs != outputs):
            raise ValueError(f"residual needs stride 1 and as many outputs as inputs; got {inputs} -> {outputs}")
        hidden = 2 * inputs
        self.residual = residual
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class DoubleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            InvertedResidual(inputs, outputs, stride, residual=False),
            InvertedResidual(outputs, outputs, residual=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class InputConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inconv = nn.Sequential(InvertedResidual(inputs, outputs, residual=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.inconv(x)


class Down(nn.Module):
    """Halves the picture with a strided depthwise convolution (the key says max pool; there is none)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(DoubleConv(inputs, outputs, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles the picture (bilinear, corners aligned) and joins the encoder's picture of that size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = DoubleConv(inputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.conv(torch.cat([x, skip], dim=1))


class OutputConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class AudioBranch(nn.Module):
    """One window of audio features to a (channels[4], 10, 10) map."""

    def __init__(self, mode: str, channels: Sequence[int]) -> None:
        super().__init__()
        inputs = AUDIO_SHAPES[mode][0]
        if mode == "wenet":
            widths, stride3 = (channels[3], channels[3]), (1, 2)
        else:
            widths, stride3 = (channels[1], channels[2]), (1, 1) if mode == "ave" else (2, 2)
        self.conv1 = InvertedResidual(inputs, widths[0], residual=mode == "wenet" and inputs == widths[0])
        self.conv2 = InvertedResidual(widths[0], widths[1], residual=mode == "wenet")
        self.conv3 = nn.Conv2d(widths[1], channels[3], 3, stride3, 1)
        self.bn3 = nn.BatchNorm2d(channels[3])
        self.conv4 = InvertedResidual(channels[3], channels[3], residual=True)
        self.conv5 = nn.Conv2d(channels[3], channels[4], 3, 2, 3)
        self.bn5 = nn.BatchNorm2d(channels[4])
        self.relu = nn.ReLU(inplace=True)
        self.conv6 = InvertedResidual(channels[4], channels[4], residual=True)
        self.conv7 = InvertedResidual(channels[4], channels[4], residual=True)

    def forward(self, audio: Tensor) -> Tensor:
        x = self.conv2(self.conv1(audio))
        x = self.relu(self.bn3(self.conv3(x)))
        x = self.conv4(x)
        x = self.relu(self.bn5(self.conv5(x)))
        return self.conv7(self.conv6(x))


class UNet(nn.Module):
    """The lip-sync network.

    mode: "ave", "hubert" or "wenet", which fixes the shape of the audio input (AUDIO_SHAPES).
    channels: the five widths; FULL_CHANNELS is the public format, HALF_CHANNELS its small variant.
    size: side in px of the picture, a multiple of 32. At other sizes than 320 the 10 x 10 audio map
    is average-pooled to (size/32) squared (our extension; the public format knows 320 only).
    """

    def __init__(self, mode: str, *, channels: Sequence[int] = FULL_CHANNELS, size: int = FORMAT_SIZE) -> None:
        super().__init__()
        if mode not in AUDIO_SHAPES:
            raise ValueError(f"mode must be one of {sorted(AUDIO_SHAPES)}; got {mode!r}")
        if len(channels) != 5 or any(c < 2 or c % 2 for c in channels):
            raise ValueError(f"channels must be five even numbers; got {list(channels)}")
        if size < 32 or size % 32:
            raise ValueError(f"size must be a multiple of 32 px; got {size}")
        self.mode, self.channels, self.size = mode, tuple(channels), size
        c = self.channels
        self.audio_model = AudioBranch(mode, c)
        self.fuse_conv = nn.Sequential(DoubleConv(2 * c[4], c[4]), DoubleConv(c[4], c[3]))
        self.inc = InputConv(6, c[0])
        self.down1 = Down(c[0], c[0])
        self.down2 = Down(c[0], c[1])
        self.down3 = Down(c[1], c[2])
        self.down4 = Down(c[2], c[3])
        self.down5 = Down(c[3], c[4])
        self.up1 = Up(2 * c[3], c[3] // 2)
        self.up2 = Up(c[3] // 2 + c[2], c[2] // 2)
        self.up3 = Up(c[2] // 2 + c[1], c[1] // 2)
        self.up4 = Up(c[1] // 2 + c[0], c[0])
        self.up5 = Up(2 * c[0], c[0] // 2)
        self.outc = OutputConv(c[0] // 2, 3)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """image (B, 6, size, size), BGR 0..1: crop, then masked crop; audio (B, *AUDIO_SHAPES[mode]).
        Returns (B, 3, size, size), BGR 0..1."""
        self._check(image, audio)
        skips = self.encode_image(image)
        return self.decode(skips, self.encode_audio(audio))

    def encode_image(self, image: Tensor) -> list[Tensor]:
        """Encoder pictures x1 .. x6, which do not depend on the sound."""
        pictures = [self.inc(image)]
        for down in (self.down1, self.down2, self.down3, self.down4, self.down5):
            pictures.append(down(pictures[-1]))
        return pictures

    def encode_audio(self, audio: Tensor) -> Tensor:
        """Audio map (B, channels[4], size/32, size/32), which does not depend on the picture."""
        audio_map = self.audio_model(audio)
        side = self.size // 32
        return audio_map if audio_map.shape[-1] == side else F.adaptive_avg_pool2d(audio_map, side)

    def decode(self, pictures: Sequence[Tensor], audio_map: Tensor) -> Tensor:
        x1, x2, x3, x4, x5, x6 = pictures
        x = self.fuse_conv(torch.cat([x6, audio_map], dim=1))
        x = self.up1(x, x5)
        x = self.up2(x, x4)
        x = self.up3(x, x3)
        x = self.up4(x, x2)
        x = self.up5(x, x1)
        return torch.sigmoid(self.outc(x))

    def _check(self, image: Tensor, audio: Tensor) -> None:
        expected = (6, self.size, self.size)
        if tuple(image.shape[1:]) != expected or image.ndim != 4:
            raise ValueError(f"image must have shape (B, {', '.join(map(str, expected))}); got {tuple(image.shape)}")
        if tuple(audio.shape[1:]) != AUDIO_SHAPES[self.mode] or len(audio) != len(image):
            raise ValueError(
                f"audio for mode {self.mode} must have shape ({len(image)}, "
                f"{', '.join(map(str, AUDIO_SHAPES[self.mode]))}); got {tuple(audio.shape)}"
            )
