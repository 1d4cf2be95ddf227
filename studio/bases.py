"""Names of what can stand under the face, as the page, links and recipes write them."""

OWN_VIDEO = " (own video)"
"""Ends the name of a person's own video; no clip that is added may end in it."""


def is_own_video(base: object) -> bool:
    """Whether a base is a person's own video, and neither a clip nor the automatic choice."""
    return isinstance(base, str) and base.endswith(OWN_VIDEO)
