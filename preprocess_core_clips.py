"""Find the face landmarks of core clips and check them: see `python preprocess_core_clips.py --help`."""

import sys

from clips.preprocess import main

if __name__ == "__main__":
    sys.exit(main())
