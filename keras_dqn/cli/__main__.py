"""The command `keras-dqn`, also `python -m keras_dqn.cli`."""

import sys

from keras_dqn.cli import train
from keras_dqn.cli import verify_resume


def main(argv=None):
    """Trains, or does what the first word says: `verify-resume`.

    Args:
        argv: List of strings, default: the command line.

    Returns:
        The exit code.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["verify-resume"]:
        return verify_resume.main(argv[1:])
    return train.main(argv)


if __name__ == "__main__":
    sys.exit(main())
