"""The blending engine: a generated face put into a plate so that nobody sees where."""

from blending.align import align_landmarks_to_reference
from blending.colour import COLOUR_METHODS, match_color_histogram
from blending.composite import COMPOSITORS
from blending.documented import blend_faces, create_face_mask
from blending.engine import Blender, BlendResult, warm_up
from blending.registration import Registration, measure_registration, smooth_registrations
from blending.seam import SeamScore, seam_score
from blending.settings import BlendSettings
from blending.types import CropBox, Landmarks

__all__ = [
    "COLOUR_METHODS",
    "COMPOSITORS",
    "BlendResult",
    "BlendSettings",
    "Blender",
    "CropBox",
    "Landmarks",
    "Registration",
    "SeamScore",
    "align_landmarks_to_reference",
    "blend_faces",
    "create_face_mask",
    "match_color_histogram",
    "measure_registration",
    "seam_score",
    "smooth_registrations",
    "warm_up",
]
