"""A terminal of our making for the live panel."""

import io
import re

from rich.console import Console

from keras_dqn import monitor
from tests.records import Clock
from tests.records import make_info


class Screen:
    """A console on a terminal of some width, and what was written to it."""

    def __init__(self, width=80, height=50, environment=(), **options):
        self.file = io.StringIO()
        self.clock = Clock()
        self.terminal = Console(
            file=self.file,
            force_terminal=True,
            width=width,
            height=height,
            legacy_windows=False,
            _environ={"TERM": "xterm-256color", **dict(environment)},
        )
        self.console = monitor.LiveConsole(self.terminal, clock=self.clock, **options)

    def write(self, progress, seconds=1.0):
        self.clock.seconds += seconds
        self.console.write(progress)

    @property
    def text(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.file.getvalue())

    @property
    def drawings(self):
        return self.text.count("╭")

    @property
    def panel(self):
        """The lines of the last panel."""
        return "╭" + self.text.replace("\r", "\n").rpartition("╭")[2]


def shown(record, width=80, info=None, **options):
    """The last panel after one record, with blanks made single."""
    screen = Screen(width, **options)
    with screen.console:
        screen.console.start(info or make_info())
        screen.write(record)
        return re.sub(r" +", " ", screen.panel)
