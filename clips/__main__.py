"""python -m clips COMMAND: render, recipe, batch, edit, handoff, describe, training-light."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

if __name__ == "__main__":  # Ctrl-C while the packages are loaded, seconds: there is nothing yet to undo
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from clips import describe, edit_command, handoff, render_command, training_light
from clips.errors import ClipError


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clips", description="Core clips at the command line.")
    commands = parser.add_subparsers(dest="command", required=True)
    for part in (render_command, edit_command, handoff, describe, training_light):
        part.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit code: 0 fine, 1 some of the work failed, 2 something cannot be used, 130 Ctrl-C."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    except (ClipError, ValueError) as e:
        return say_error(e)
    except Exception as e:
        from models.errors import ModelError  # torch takes seconds to import, and some commands need none

        if isinstance(e, ModelError):
            return say_error(e)
        raise


def say_error(error: Exception) -> int:
    """Print what went wrong on one line of stderr; 2, the exit code."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # names may hold any bytes
    code = main()
    sys.stdout.flush()
    if code == 130:
        os._exit(code)  # a network that is still being loaded must not be torn down under its thread
    sys.exit(code)
