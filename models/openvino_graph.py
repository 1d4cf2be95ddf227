"""The U-Net as OpenVINO graphs: image encoder, audio branch and decoder, each compiled on its own.

The graphs are written down from the weights, without a converter: that takes half a second instead of six and allows
rewrites, all exact but for float rounding (on the full network at 320 px under 0.001 of an 8-bit level):

1. Batch norms come folded into the convolutions (models.folding).
2. The input block ends in a 1x1 convolution without activation, and what follows it, in down1 and up5, begins with
   one: the two are multiplied into one, so that 12 channels of the full picture are kept instead of 32.
3. A 1x1 convolution and bilinear upsampling commute (the weights of an output pixel add up to 1): where the widened
   map is small, the first 1x1 of an Up works on the small picture.
4. Where it is large, a block runs in strips of rows that stay in the processor's cache, each with the rows that its
   3x3 convolutions look at beyond its edges.
5. Of the 1x1 convolutions that join two pictures (fuse_conv, up1, up2) the plate's share is computed by the encoder
   and the sound's by the audio branch, so that it is kept with them.

Pictures cross the borders of the graphs as (1, H, W, C), the layout the CPU plugin works in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from models.unet import AUDIO_SHAPES, AudioBranch, DoubleConv, InvertedResidual, UNet, Up

# Python's way to say that a module is not there. OpenVINO then uses its own stub; otherwise `import openvino` alone
# reports itself to its maker's statistics server.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402
from openvino import opset13 as ops  # noqa: E402

Node = Any
"""An OpenVINO node: (1, C, H, W) inside the graphs."""

STRIP_BYTES = 3_300_000
"""Size of the widened map of one strip: 20 rows of the full network's last block."""
FEWEST_ROWS = 4
"""Rows of a strip, at least: the 3x3 convolutions need three beside the edge."""


@dataclass(frozen=True)
class Pointwise:
    """Weight (outputs, inputs) and bias (outputs,) of a 1x1 convolution."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def of(cls, layer: nn.Module) -> Pointwise:
        weight, bias = _arrays(layer)
        return cls(weight[:, :, 0, 0], bias)

    def after(self, first: Pointwise) -> Pointwise:
        """This convolution of the output of `first`, as one; multiplied in double precision."""
        weight = self.weight.astype(np.float64)
        bias = weight @ first.bias + self.bias
        return Pointwise((weight @ first.weight).astype(np.float32), bias.astype(np.float32))

    def split(self, inputs: int) -> tuple[Pointwise, Pointwise]:
        """The part of the first `inputs` channels (of all but the last -inputs), without bias, and of the others."""
        nothing = np.zeros_like(self.bias)
        return Pointwise(self.weight[:, :inputs], nothing), Pointwise(self.weight[:, inputs:], self.bias)

    def after_second_part(self, inputs: int, first: Pointwise) -> Pointwise:
        """Of the channels from `inputs` on, those that `first` takes instead of those it gives."""
        spread, kept = self.split(inputs)
        kept = kept.after(first)
        return Pointwise(np.concatenate([spread.weight, kept.weight], axis=1), kept.bias)

    def __call__(self, x: Node, *, add: Node | None = None, relu: bool = False) -> Node:
        y = ops.convolution(x, _constant(self.weight[:, :, None, None]), [1, 1], [0, 0], [0, 0], [1, 1])
        if self.bias.any():
            y = _plus_bias(y, self.bias)
        if add is not None:
            y = ops.add(y, add)
        return ops.relu(y) if relu else y


def image_encoder(network: UNet) -> ov.Model:
    """(1, s, s, 6) to what the decoder takes of the plate, all (1, H, W, C): the hidden input picture, x2, x3 and
    the plate's shares of up2, up1 and fuse_conv."""
    parameter, image = _picture(6, network.size, network.size)
    hidden, projection = _input_block(network, image)
    pictures = [hidden]
    for down in (network.down1, network.down2, network.down3, network.down4, network.down5):
        block = _block(down.maxpool_conv[0])
        first = _widening(block)
        pictures.append(_double(pictures[-1], block, first.after(projection) if down is network.down1 else first))
    hidden, x2, x3, x4, x5, x6 = pictures
    c = network.channels
    shares = [
        _widening(network.up2.conv).split(-c[2])[1](x4),
        _widening(network.up1.conv).split(-c[3])[1](x5),
        _widening(_block(network.fuse_conv[0])).split(c[4])[0](x6),
    ]
    return ov.Model([_channels_last(picture) for picture in (hidden, x2, x3, *shares)], [parameter], "image encoder")


def audio_branch(network: UNet, batch: int) -> ov.Model:
    """Windows (B, *AUDIO_SHAPES[mode]) to the sound's share of fuse_conv (B, s/32, s/32, C)."""
    windows = ops.parameter([batch, *AUDIO_SHAPES[network.mode]], np.float32)
    branch: AudioBranch = network.audio_model
    x = _inverted_residual(_inverted_residual(windows, branch.conv1), branch.conv2)
    x = _inverted_residual(_dense(x, branch.conv3), branch.conv4)
    x = _inverted_residual(_inverted_residual(_dense(x, branch.conv5), branch.conv6), branch.conv7)
    side = network.size // 32
    if _side(x) != side:
        x = ops.adaptive_avg_pool(x, ops.constant(np.array([side, side])))
    share = _widening(_block(network.fuse_conv[0])).split(network.channels[4])[1](x)
    return ov.Model([_channels_last(share)], [windows], "audio branch")


def decoder(network: UNet) -> ov.Model:
    """What image_encoder gives, and one share of the sound, to the picture (1, s, s, 3)."""
    size, c = network.size, network.channels
    _, projection = _input_block(network, _picture(6, size, size)[1])
    fuse = [_block(block) for block in network.fuse_conv]
    wide = [len(_widening(block).bias) for block in (network.up2.conv, network.up1.conv, fuse[0])]
    channels = [projection.weight.shape[1], c[0], c[1], *wide]
    inputs = [_picture(count, size >> level, size >> level) for level, count in enumerate(channels)]
    inputs.append(_picture(wide[2], size >> 5, size >> 5))
    hidden, x2, x3, share2, share1, share0, sound = [node for _, node in inputs]
    fused = ops.relu(ops.add(share0, sound))
    x = _double(_narrow(lambda start, stop: fused, size >> 5, 1, fuse[0]), fuse[1])
    x = _up_share(_up_share(x, share1, network.up1), share2, network.up2)
    x = _up(_up(x, x3, network.up3), x2, network.up4)

    def to_picture(rows: Node) -> Node:
        return ops.sigmoid(Pointwise.of(network.outc.conv)(rows))

    picture = _up(x, hidden, network.up5, projection=projection, end=to_picture)
    return ov.Model([_channels_last(picture)], [parameter for parameter, _ in inputs], "decoder")


def _convolution(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)
    return layer


def _arrays(layer: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a convolution whose batch norm is folded in."""
    layer = _convolution(layer)
    assert layer.bias is not None
    return layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy()


def _constant(values: NDArray[np.float32]) -> Node:
    return ops.constant(np.ascontiguousarray(values, np.float32))


def _plus_bias(x: Node, bias: NDArray[np.float32]) -> Node:
    return ops.add(x, _constant(bias.reshape(1, -1, 1, 1)))


def _picture(channels: int, height: int, width: int) -> tuple[Node, Node]:
    """An input (1, H, W, C) of a graph, and the same as (1, C, H, W)."""
    parameter = ops.parameter([1, height, width, channels], np.float32)
    return parameter, _channels_first(parameter)


def _channels_first(x: Node) -> Node:
    return ops.transpose(x, ops.constant(np.array([0, 3, 1, 2])))


def _channels_last(x: Node) -> Node:
    return ops.transpose(x, ops.constant(np.array([0, 2, 3, 1])))


def _channels(x: Node) -> int:
    return int(x.get_output_partial_shape(0)[1].get_length())


def _side(x: Node) -> int:
    return int(x.get_output_partial_shape(0)[2].get_length())


def _rows(x: Node, start: int, stop: int) -> Node:
    if (start, stop) == (0, _side(x)):
        return x

    def cut(picture: Node, axis: int) -> Node:
        return ops.slice(picture, *(ops.constant(np.array([value])) for value in (start, stop, 1, axis)))

    source = x.input_value(0).get_node() if x.get_type_name() == "Transpose" else x
    if source.get_type_name() == "Parameter":  # cut as it comes in: turned first, the plugin would copy all of it
        return _channels_first(cut(source, 1))
    return cut(x, 2)


def _doubled(x: Node) -> Node:
    """Bilinear upsampling x 2, corners aligned."""
    side = 2 * _side(x)
    return ops.interpolate(
        x, ops.constant(np.array([side, side])), mode="linear_onnx", shape_calculation_mode="sizes",
        coordinate_transformation_mode="align_corners", axes=ops.constant(np.array([2, 3])),
    )  # fmt: skip


def _depthwise(x: Node, layer: nn.Module, *, top: bool = True, bottom: bool = True) -> Node:
    """3x3 depthwise convolution and ReLU; top, bottom: whether a row of zeros stands beyond that edge."""
    weight, bias = _arrays(layer)
    kernel = _constant(weight.reshape(len(weight), 1, 1, 3, 3))
    y = ops.group_convolution(x, kernel, list(_convolution(layer).stride), [int(top), 1], [int(bottom), 1], [1, 1])
    return ops.relu(_plus_bias(y, bias))


def _dense(x: Node, layer: nn.Conv2d) -> Node:
    """3x3 convolution and ReLU."""
    weight, bias = _arrays(layer)
    padding = [int(p) for p in layer.padding]
    return ops.relu(
        _plus_bias(ops.convolution(x, _constant(weight), list(layer.stride), padding, padding, [1, 1]), bias)
    )


def _inverted_residual(x: Node, block: InvertedResidual) -> Node:
    y = _depthwise(Pointwise.of(block.conv[0])(x, relu=True), block.conv[3])
    return Pointwise.of(block.conv[6])(y, add=x if block.residual else None)


def _block(module: nn.Module) -> DoubleConv:
    assert isinstance(module, DoubleConv)
    return module


def _widening(block: DoubleConv) -> Pointwise:
    """The 1x1 convolution a double block begins with."""
    return Pointwise.of(_residuals(block)[0].conv[0])


def _residuals(block: DoubleConv) -> tuple[InvertedResidual, InvertedResidual]:
    first, second = block.double_conv
    assert isinstance(first, InvertedResidual)
    assert isinstance(second, InvertedResidual)
    return first, second


def _input_block(network: UNet, image: Node) -> tuple[Node, Pointwise]:
    """The input block but for its last convolution, and that one."""
    layers = network.inc.inconv[0].conv
    assert isinstance(layers, nn.Sequential)
    return _depthwise(Pointwise.of(layers[0])(image, relu=True), layers[3]), Pointwise.of(layers[6])


def _strips(channels: int, side: int) -> int:
    """Strips into which a map of that size is cut."""
    return -(-4 * channels * side * side // STRIP_BYTES)


def _double(x: Node, block: DoubleConv, first: Pointwise | None = None) -> Node:
    """A double block; first: in place of its first convolution."""
    widen = first or _widening(block)

    def wide(start: int, stop: int) -> Node:
        return widen(_rows(x, start, stop), relu=True)

    return _narrow(wide, _side(x), _strips(len(widen.bias), _side(x)), block)


def _up(
    x: Node,
    skip: Node,
    up: Up,
    *,
    projection: Pointwise | None = None,
    end: Callable[[Node], Node] | None = None,
) -> Node:
    """An Up; projection: convolution that gives the skip picture proper; end: what follows, row by row."""
    widen = _widening(up.conv)
    if projection is not None:
        widen = widen.after_second_part(_channels(x), projection)
    side = _side(skip)
    strips = _strips(len(widen.bias), side)
    if strips == 1:
        return _up_share(x, widen.split(_channels(x))[1](skip), up, end=end)
    doubled = _doubled(x)

    def wide(start: int, stop: int) -> Node:
        return widen(ops.concat([_rows(doubled, start, stop), _rows(skip, start, stop)], 1), relu=True)

    return _narrow(wide, side, strips, up.conv, end)


def _up_share(x: Node, share: Node, up: Up, *, end: Callable[[Node], Node] | None = None) -> Node:
    """An Up whose first convolution has been applied to the skip picture, the result being `share`."""
    spread, _ = _widening(up.conv).split(_channels(x))
    wide = ops.relu(ops.add(_doubled(spread(x)), share))
    return _narrow(lambda start, stop: wide, _side(share), 1, up.conv, end)


def _narrow(
    wide: Callable[[int, int], Node],
    side: int,
    strips: int,
    block: DoubleConv,
    end: Callable[[Node], Node] | None = None,
) -> Node:
    """A double block from its widened map on, in strips.

    wide(start, stop): rows of the widened map after its ReLU; side: how many there are.
    """
    first, second = _residuals(block)
    stride = int(_convolution(first.conv[3]).stride[0])
    height = side // stride
    done = []
    for start, stop in _cuts(height, max(1, min(strips, height // FEWEST_ROWS))):
        above, below = max(start - 1, 0), min(stop + 1, height)
        top, bottom = max(stride * above - 1, 0), min(stride * (below - 1) + 2, side)
        y = _depthwise(
            wide(top, bottom), first.conv[3], top=stride * above == 0, bottom=stride * (below - 1) + 2 > side
        )
        y = Pointwise.of(first.conv[6])(y)
        widened = Pointwise.of(second.conv[0])(y, relu=True)
        widened = _depthwise(widened, second.conv[3], top=above == 0, bottom=below == height)
        y = Pointwise.of(second.conv[6])(widened, add=_rows(y, start - above, stop - above))
        done.append(end(y) if end is not None else y)
    return ops.concat(done, 2) if len(done) > 1 else done[0]


def _cuts(height: int, strips: int) -> Sequence[tuple[int, int]]:
    edges = [round(i * height / strips) for i in range(strips + 1)]
    return list(pairwise(edges))
