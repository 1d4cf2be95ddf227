"""Find the face landmarks of core clips and check them: see `python preprocess_core_clips.py --help`."""

import sys

from clips.preprocess import main

if __name__ == "__main__":
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # names may hold any bytes
    sys.exit(main())
