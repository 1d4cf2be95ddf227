"""The network in OpenVINO on the CPU: in float32, 2 to 2.6 x as fast as PyTorch with folded batch norms."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import openvino_graph as graphs
from models.folding import fold_batch_norm
from models.openvino_graph import ov
from models.runtime import SOUND_BATCH, Kept
from models.unet import UNet


class OpenVinoRuntime:
    """Three compiled graphs, one request each; several threads take turns."""

    name = "openvino"
    exact = True

    def __init__(self, network: UNet, threads: int) -> None:
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # on some CPUs it would take bfloat16, 4 levels off
        }
        core, folded = ov.Core(), fold_batch_norm(network)

        def request(graph: Any) -> Any:
            return core.compile_model(graph, "CPU", options).create_infer_request()

        self._pictures = request(graphs.image_encoder(folded))
        self._sounds = request(graphs.audio_branch(folded, SOUND_BATCH))
        self._decoder = request(graphs.decoder(folded))
        self._lock = threading.Lock()
        self.about = f"openvino on cpu, float32, {threads} thread{'s' if threads > 1 else ''}"

    def encode_picture(self, picture: NDArray[np.float32]) -> Kept:
        with self._lock:
            return _run(self._pictures, [ov.Tensor(np.ascontiguousarray(picture[None]))])

    def encode_sound(self, windows: NDArray[np.float32]) -> Kept:
        with self._lock:
            kept = _run(self._sounds, [ov.Tensor(np.ascontiguousarray(windows))])
        maps = kept.parts[0].data
        return Kept([ov.Tensor(maps[i : i + 1]) for i in range(len(maps))], kept.nbytes)

    def draw(self, pictures: Sequence[Kept], audio_maps: Sequence[Any]) -> NDArray[np.float32]:
        drawn = []
        for kept, audio_map in zip(pictures, audio_maps, strict=True):
            with self._lock:
                drawn.append(_run(self._decoder, [*kept.parts, audio_map]).parts[0].data)
        return drawn[0] if len(drawn) == 1 else np.concatenate(drawn)


def _run(request: Any, inputs: Sequence[Any]) -> Kept:
    """Results of one run, in memory of their own: nothing is copied."""
    outputs = [ov.Tensor(port.get_element_type(), port.get_shape()) for port in request.model_outputs]
    for place, tensor in enumerate(inputs):
        request.set_input_tensor(place, tensor)
    for place, tensor in enumerate(outputs):
        request.set_output_tensor(place, tensor)
    request.infer()
    return Kept(outputs, sum(tensor.byte_size for tensor in outputs))
