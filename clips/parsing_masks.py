"""Face parsing of SyncTalk_2D data sets, one PNG a frame: where it keeps the plate (clothes, background)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.parsing import plate_mask_from_parsing
from clips.errors import ClipError
from clips.library import CoreClip
from clips.timeline import FPS, counted
from clips.video import probe

_NUMBERED = re.compile(r"(0|[1-9]\d*)\.png")


@dataclass(frozen=True, eq=False)
class ParsingMasks:
    """The masks of one clip. folder: with N.png for each frame N of the clip's file, from 0; files: which of them
    stands at each frame of the timeline; size_wh: of the clip in px."""

    folder: Path
    files: NDArray[np.intp]
    size_wh: tuple[int, int]

    def at(self, number: int) -> NDArray[np.bool_]:
        """Where frame `number` of the timeline keeps the plate, bool (H, W).

        ClipError when the picture is missing, cannot be read or has another size than the clip.
        """
        path = self.folder / f"{self.files[number]}.png"
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise ClipError(f"expected the parsing mask {path}; it cannot be read; make it again, or remove its folder")
        if (picture.shape[1], picture.shape[0]) != self.size_wh:
            raise ClipError(
                f"expected a parsing mask of {self.size_wh[0]} x {self.size_wh[1]} px, as its clip is; "
                f"{path} has {picture.shape[1]} x {picture.shape[0]}; make it again, or remove its folder"
            )
        return plate_mask_from_parsing(np.asarray(picture, np.uint8))


def find_parsing(workspace: Path, clip: CoreClip) -> tuple[ParsingMasks | None, str]:
    """The clip's parsing masks, None where there are none; and what to say of them, "" where there are none.

    Looked for in WORKSPACE/dataset/MODEL/core_clips/CLIP/parsing, then in WORKSPACE/dataset/MODEL/parsing, which
    belongs to the data set's own frames: it is taken for a clip of exactly as many frames, and otherwise said to be
    left aside. ClipError when a folder cannot be opened.
    """
    dataset = workspace / "dataset" / clip.model
    folders = (dataset / "core_clips" / clip.name / "parsing", dataset / "parsing")
    try:
        counts = {
            folder: sum(1 for path in folder.iterdir() if _NUMBERED.fullmatch(path.name))
            for folder in folders
            if folder.is_dir()
        }
    except OSError as error:
        raise ClipError(
            f"expected to read the parsing masks below {dataset}; it cannot be opened ({error.strerror}); "
            "change its permissions, or remove it"
        ) from error
    info = probe(clip.path) if any(counts.values()) else None
    if info is None:
        return None, ""
    for folder, count in counts.items():
        if count == info.frames:
            files = np.asarray(info.source_indices(FPS), np.intp)
            return ParsingMasks(folder, files, info.size_wh), f"{clip.name} has parsing masks"
    found = max(counts.values())
    return None, f"parsing masks are left aside: there are {found}, and {clip.name} has {counted(info.frames, 'frame')}"
