"""One output frame for the viewer: lossless pictures in a single answer."""

from __future__ import annotations

import json
import struct
import time
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from blending import BlendResult, BlendSettings, seam_score
from blending.layers import LOCAL_SETTINGS
from clips.core_clips_processor import Shot
from clips.errors import ClipError
from studio.layers import layer_blobs, layer_numbers
from studio.sessions import Session

PNG_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
JPEG_FINE = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]

HEAT_WHITE = 1.5
"""Seam map value that the heat view shows as its brightest colour: blends have up to 1, a hard paste 2 to 3."""

MAX_SEQ = 2**53 - 1


class PreviewRequest(BaseModel):
    """What the viewer asks for. seq: comes back with the answer. plate: the plate is wanted too; light: as JPEG, for
    playing. score: seam score and seam map are wanted. layers: so are those the page blends by itself."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token: str = Field(max_length=64)
    frame: int
    settings: dict[str, Any]
    seq: int = Field(0, ge=0, le=MAX_SEQ)
    plate: bool = True
    light: bool = False
    score: bool = True
    layers: bool = False


class Blob(NamedTuple):
    """One part of an answer: name, kind (png, jpeg or the type of raw values) and bytes."""

    name: str
    kind: str
    content: bytes


def preview(session: Session, request: PreviewRequest) -> bytes:
    """Header length (uint32, little-endian), JSON header, then the blobs it lists.

    Pictures: composite and matte of the generator's square (what the render encodes, bit for bit);
    on request the whole plate and the unblended square. Outside the square the composite is the plate.
    """
    started = time.perf_counter()
    frames = session.performance.frames
    if not 0 <= request.frame < frames:
        raise ValueError(f"frame must lie in 0 .. {frames - 1}; got {request.frame}")
    settings = BlendSettings.parse(request.settings)
    processor = session.processor
    shot = processor.shot(session.performance, request.frame)
    result = processor.blend_shot(shot, settings)
    if result.patch.size == 0:
        raise ClipError(
            f"the face of frame {shot.clip_frame} of {shot.cut.clip!r} lies outside the picture; choose another clip"
        )
    header, blobs = _header(request, shot, result, settings), _pictures(request, shot, result)
    if request.score and shot.generated is not None:
        blobs.append(_score(header, shot, result))
        floor = processor.known_floor(shot.cut.clip)
        if floor is not None:
            header["floor"] = round(floor, 3)
    if request.layers and settings.compositor == "alpha":
        layers = processor.blend_layers(shot, settings)
        if layers is not None:
            header["local"] = layer_numbers(layers) | {"settings": LOCAL_SETTINGS}
            blobs += [
                Blob(f"local_{name}", values.dtype.name, values.tobytes()) for name, values in layer_blobs(layers)
            ]
    header["layers"] = [{"name": blob.name, "kind": blob.kind, "bytes": len(blob.content)} for blob in blobs]
    header["ms"] = round((time.perf_counter() - started) * 1000, 1)
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + b"".join(blob.content for blob in blobs)


def _pictures(request: PreviewRequest, shot: Shot, result: BlendResult) -> list[Blob]:
    blobs = [_png("composite", result.patch), _png("matte", _grey(result.patch_matte))]
    if request.plate and request.light:
        blobs.append(Blob("plate", "jpeg", cv2.imencode(".jpg", shot.plate, JPEG_FINE)[1].tobytes()))
    elif request.plate:
        blobs.append(_png("plate", shot.plate))
    if request.plate:
        blobs.append(_png("unblended", shot.unblended[result.rows, result.columns]))
    return blobs


def _header(request: PreviewRequest, shot: Shot, result: BlendResult, settings: BlendSettings) -> dict[str, Any]:
    rows, columns = result.rows, result.columns
    return {
        "seq": request.seq,
        "frame": request.frame,
        "clip": shot.cut.clip,
        "clip_frame": shot.clip_frame,
        "driven": shot.generated is not None,
        "limits": list(result.limits),
        "roi": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
        "size": [shot.plate.shape[1], shot.plate.shape[0]],
        "box": [shot.box.x0, shot.box.y0, shot.box.side],
        "chin": [float(v) for v in shot.landmarks.anchor("chin")],
        "feather_px": 0 if settings.compositor == "hard" else float(result.feather_px),
        "texture_share": round(result.chosen.get("texture_share", 0.0), 3) if settings.texture > 0 else None,
        "feather_share": round(result.chosen.get("feather_share", 1.0), 3),
    }


def _score(header: dict[str, Any], shot: Shot, result: BlendResult) -> Blob:
    """Fills in the scores; the seam map as a picture."""
    assert shot.generated is not None
    score = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks)
    unblended = seam_score(shot.plate, shot.unblended, shot.generated, shot.box, shot.landmarks)
    header["score"] = round(score.score, 3)
    # Exactly 0: no part of the blend lies in the sector, or the sector lies outside the picture.
    header["sectors"] = {name: round(value, 2) if value > 0 else None for name, value in score.sectors.items()}
    header["unblended_score"] = round(unblended.score, 3)
    header["heat"] = {"roi": [score.roi.x0, score.roi.y0, score.roi.side], "white": HEAT_WHITE}
    return _png("heat", _grey(np.clip(score.heatmap * np.float32(1 / HEAT_WHITE), 0, 1)))


def _grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(values * 255).astype(np.uint8)


def _png(name: str, picture: NDArray[np.uint8]) -> Blob:
    return Blob(name, "png", cv2.imencode(".png", np.ascontiguousarray(picture), PNG_FAST)[1].tobytes())
