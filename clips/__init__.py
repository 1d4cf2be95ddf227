"""Core clips and video: discover, decode, find faces and speech, cut, render. No torch at import time."""
