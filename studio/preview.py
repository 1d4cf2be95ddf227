"""One output frame for the viewer: lossless layers in a single answer."""

from __future__ import annotations

import json
import struct
import time
from typing import Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from blending import BlendSettings, seam_score
from clips.core_clips_processor import Shot
from clips.errors import ClipError
from studio.sessions import Session

PNG_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


class PreviewRequest(BaseModel):
    """What the viewer asks for. plate: the plate is wanted too. score: the seam score is wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token: str = Field(max_length=64)
    frame: int
    settings: dict[str, Any]
    plate: bool = True
    score: bool = True


def preview(session: Session, request: PreviewRequest) -> bytes:
    """Header length (uint32, little-endian), JSON header, then the PNG layers it lists.

    Layers: composite and matte of the generator's square (what the render encodes, bit for bit);
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
    rows, columns = result.rows, result.columns
    if result.patch.size == 0:
        raise ClipError(
            f"the face of frame {shot.clip_frame} of {shot.cut.clip!r} lies outside the picture; choose another clip"
        )
    layers = {
        "composite": result.patch,
        "matte": np.rint(result.patch_matte * 255).astype(np.uint8),
    }
    if request.plate:
        layers["plate"] = shot.plate
        layers["unblended"] = shot.unblended[rows, columns]
    header: dict[str, Any] = {
        "frame": request.frame,
        "clip": shot.cut.clip,
        "clip_frame": shot.clip_frame,
        "driven": shot.generated is not None,
        "limits": list(result.limits),
        "roi": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
        "size": [shot.plate.shape[1], shot.plate.shape[0]],
        "box": [shot.box.x0, shot.box.y0, shot.box.side],
        "chin": [float(v) for v in shot.landmarks.anchor("chin")],
        "feather_px": 0 if settings.compositor == "hard" else round(result.feather_px, 1),
        "texture_share": round(result.chosen.get("texture_share", 0.0), 3) if settings.texture > 0 else None,
        "feather_share": round(result.chosen.get("feather_share", 1.0), 3),
    }
    if request.score and shot.generated is not None:
        score = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks)
        header["score"] = round(score.score, 3)
        header["sectors"] = {name: round(value, 2) for name, value in score.sectors.items()}
        header["unblended_score"] = round(_unblended_score(shot), 3)
        floor = processor.known_floor(shot.cut.clip)
        if floor is not None:
            header["floor"] = round(floor, 3)
    blobs = [cv2.imencode(".png", np.ascontiguousarray(layer), PNG_FAST)[1].tobytes() for layer in layers.values()]
    header["layers"] = [{"name": name, "bytes": len(blob)} for name, blob in zip(layers, blobs, strict=True)]
    header["ms"] = round((time.perf_counter() - started) * 1000, 1)
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + b"".join(blobs)


def _unblended_score(shot: Shot) -> float:
    """Seam score of the hard paste: what the blend is measured against."""
    assert shot.generated is not None
    return seam_score(shot.plate, shot.unblended, shot.generated, shot.box, shot.landmarks).score
