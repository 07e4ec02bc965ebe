"""`python -m keras_dqn`: the command `keras-dqn`."""

import sys

from keras_dqn.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
