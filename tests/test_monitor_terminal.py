"""The live panel on a pseudo-terminal, in a process of its own."""

import fcntl
import os
import pathlib
import pty
import select
import struct
import subprocess
import sys
import termios

import pytest

pytestmark = pytest.mark.numpy

ROOT = pathlib.Path(__file__).parents[1]
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"

CHILD = """
import sys
from tests.records import make_info, make_progress
from keras_dqn import monitor
with monitor.make_console() as console:
    console.start(make_info())
    for i in range(100):
        console.write(make_progress(i))
    print("from elsewhere")
    print("an error", file=sys.stderr)
    console.message("Saved checkpoint")
    if sys.argv[1] == "raise":
        raise RuntimeError("boom")
    if sys.argv[1] == "exit":
        sys.exit(3)
print("the end")
"""


def run_in_terminal(how, columns=80, encoding="utf-8"):
    """Runs `CHILD` on a pseudo-terminal. Returns exit code and output."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {
        **{k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "CI")},
        "TERM": "xterm-256color",
        "PYTHONIOENCODING": encoding,
    }
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, how],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
        cwd=ROOT,
    )
    os.close(theirs)
    output = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end was closed
            break
        if not data:
            break
        output += data
    os.close(ours)
    return child.wait(timeout=60), output.decode()


@pytest.mark.parametrize(("how", "code"), [("end", 0), ("raise", 1), ("exit", 3)])
def test_on_a_real_terminal_the_panel_is_drawn_and_cleared_up(how, code):
    status, output = run_in_terminal(how)
    assert status == code
    assert output.count(HIDE_CURSOR) == 1
    assert output.rindex(SHOW_CURSOR) > output.rindex("╯")
    for line in ("from elsewhere", "an error", "Saved checkpoint"):
        assert output.index(line) < output.rindex("╭")
    last = {"end": "the end", "raise": "RuntimeError: boom", "exit": SHOW_CURSOR}
    assert output.rindex(last[how]) >= output.rindex(SHOW_CURSOR)


def test_on_a_terminal_without_unicode_the_panel_is_ascii():
    status, output = run_in_terminal("end", encoding="ascii")
    assert status == 0
    assert output.isascii()
    assert "1.500 +- 0.750" in output
