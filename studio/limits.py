"""How long and how large a sound may be: what is enforced, and what page and messages say of it."""

from __future__ import annotations

from clips.core_clips_processor import MAX_SOUND_S

MAX_SOUND_BYTES = 200 * 2**20
"""Of an upload, from the page or a program."""
MAX_CALL_S = 600
"""Of a program's call: a render of LS1 takes about as long as its sound on two cores, and others wait meanwhile."""
PAGE_LIMIT = f"{MAX_SOUND_S // 60} minutes and {MAX_SOUND_BYTES >> 20} MB"
CALL_LIMIT = f"{MAX_CALL_S // 60} minutes and {MAX_SOUND_BYTES >> 20} MB"
