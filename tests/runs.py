"""Runs in a directory, by the library and by the command, which many tests share."""

from keras_dqn.cli.__main__ import main
from keras_dqn.runs.run import Run


def train(settings, out, **options):
    """Trains as `keras-dqn train` does, without a console; returns the `Run`.

    Args:
        settings: `Settings`.
        out: Path of the run directory.
        **options: Of `Run`.
    """
    from keras_dqn.runs import parts  # here, because it needs a Keras backend

    options = {"console": "none", "evaluation": False, **options}
    with Run(settings, out, **options) as run:
        parts.train(run)
    return run


def command(*words):
    """Runs `keras-dqn` with these words. Returns the exit code."""
    try:
        return main([str(word) for word in words])
    except SystemExit as error:
        return error.code
