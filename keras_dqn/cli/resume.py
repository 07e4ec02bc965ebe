"""`keras-dqn resume`: continues a run."""

from keras_dqn.cli.train import add_resume_command as add_command

__all__ = ["add_command"]
