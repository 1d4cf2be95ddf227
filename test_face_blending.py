"""Draw a sheet of masks and blend, or measure the clips' faces: see `python test_face_blending.py --help`.

A tool, not a test: pytest finds nothing in it.
"""

import sys

if __name__ == "__main__":
    from clips.inspect import main

    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # names may hold any bytes
    sys.exit(main())
