"""One clip dissolving into the next: both are drawn and blended by themselves, then mixed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from blending import BlendResult
from blending.types import Frame

if TYPE_CHECKING:
    from clips.core_clips_processor import Shot


def mix(going: Frame, coming: Frame, share: float) -> Frame:
    """`share`, 0..1, of the coming frame and the rest of the other, rounded; read-only."""
    mixed = np.rint(going + np.float32(share) * (coming.astype(np.float32) - going)).astype(np.uint8)
    mixed.setflags(write=False)
    return mixed


def mixed_shot(going: Shot, coming: Shot, share: float) -> Shot:
    """The dissolve of two shots: the coming one's geometry, mixed plates, and what of the mixed unblended frame lies in
    its square, where either side is driven."""
    mixed = replace(coming, plate=mix(going.plate, coming.plate, share), sides=(going, coming), share=share)
    driven = going.generated is not None or coming.generated is not None
    return replace(mixed, generated=coming.box.extract(mixed.unblended) if driven else None)


def mixed_result(shot: Shot, going: BlendResult, coming: BlendResult) -> BlendResult:
    """The blends of a mixed shot's sides, mixed. Where neither has a matte it is the mixed plate, bit for bit."""
    height, width = shot.plate.shape[:2]
    results = [result for result in (going, coming) if result.patch.size]
    rows = slice(min((r.rows.start for r in results), default=0), max((r.rows.stop for r in results), default=height))
    columns = slice(
        min((r.columns.start for r in results), default=0), max((r.columns.stop for r in results), default=width)
    )
    matte = going.matte + np.float32(shot.share) * (coming.matte - going.matte)
    whole = [
        side.plate if side.generated is None else result.box.paste(side.plate, result.generated_matched)
        for side, result in zip(shot.sides, (going, coming), strict=True)
    ]
    said = f"dissolve: {shot.share:.0%} of this clip, the rest of {shot.sides[0].cut.clip!r}"
    return replace(
        coming,
        patch=mix(going.frame, coming.frame, shot.share)[rows, columns],
        patch_matte=matte[rows, columns],
        explain=lambda: (said, *going.limits, *coming.limits),
        generated_matched=shot.box.extract(mix(whole[0], whole[1], shot.share)),
        plate=shot.plate,
        corner=(rows.start, columns.start),
    )
