"""The one error of this package that is the world's fault and not the caller's."""


class ClipError(Exception):
    """A file, folder or name that cannot be used.

    The message says what was expected, what came and what to do about it; entry points print it
    as it is.
    """
