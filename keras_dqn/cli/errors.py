"""The error that ends a command with a message."""

from __future__ import annotations


class CommandError(Exception):
    """Ends the command with a message and an exit code.

    The traceback of its cause is shown, if it was raised from another exception.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
