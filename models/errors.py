"""What goes wrong with models that is not the caller's mistake."""


class ModelError(Exception):
    """A model, checkpoint or feature file that cannot be used; the message says why and what to do."""
