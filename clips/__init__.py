"""Core clips and video: discover, decode, find faces and speech, cut, render. No torch at import time."""

VERSION = "0.1.0"
"""Of Seamline, as in pyproject.toml."""
