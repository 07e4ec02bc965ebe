"""The console without a terminal."""

import io
import os
import subprocess
import sys

import pytest

from keras_dqn import monitor
from tests.records import Clock
from tests.records import make_filling
from tests.records import make_info
from tests.records import make_progress

pytestmark = pytest.mark.numpy


class Stream(io.StringIO):
    """Counts what was flushed."""

    flushed = ""

    def flush(self):
        self.flushed = self.getvalue()


def lines_of(records, **options):
    stream = Stream()
    console = monitor.PlainConsole(stream, **options)
    for record in records:
        console.write(record)
    return stream.getvalue().splitlines()


def test_the_first_four_columns_are_those_of_the_reference():
    # The reference: "{:4} {:3} {:.2f} {:.3f}" of step, fps, reward and length.
    (line,) = lines_of([make_progress(0, seconds=0.5)])
    assert line.startswith("   0  64 12.35 31.250 ")


def test_a_line_is_printed_every_ten_iterations_with_the_steps_before_it():
    lines = lines_of(make_progress(i) for i in range(25))
    assert [line.split()[0] for line in lines] == ["0", "320", "640"]


def test_the_interval_between_lines_can_be_chosen():
    lines = lines_of((make_progress(i) for i in range(25)), log_interval_iterations=12)
    assert [line.split()[0] for line in lines] == ["0", "384", "768"]


def test_the_speed_is_that_of_all_iterations_since_the_last_line():
    seconds = [1.0] + [0.0] * 9 + [10.0]
    records = [make_progress(i, seconds=s) for i, s in enumerate(seconds)]
    lines = lines_of(records)
    # 32 steps in 1 s, then 10 x 32 steps in 10 s
    assert [line.split()[1] for line in lines] == ["32", "32"]


def test_what_is_not_known_yet_is_a_dash_and_never_nan():
    (line,) = lines_of([make_filling(0, seconds=0.0)])
    assert line.startswith("   0   - - - best=- episodes=0 ")
    assert "loss=-" in line
    assert "q=-" in line
    assert "nan" not in line.lower()


def test_the_extension_is_key_value_pairs():
    (line,) = lines_of([make_progress(0)])
    pairs = dict(part.split("=") for part in line.split()[4:])
    assert pairs == {
        "best": "42",
        "episodes": "150",
        "updates": "0",
        "updates/s": "-",
        "loss": "0.125",
        "q": "1.500",
        "q_std": "0.750",
        "td_error": "0.0625",
        "epsilon": "0.2500",
        "beta": "0.5000",
        "replay": "100.0%",
        "eta": "-",
    }


def test_the_time_left_is_measured_by_the_clock_and_from_training_on():
    stream, clock = Stream(), Clock()
    console = monitor.PlainConsole(stream, log_interval_iterations=1, clock=clock)
    total = 32 * 11
    for iteration in range(5):  # fast while it fills
        clock.seconds += 0.001
        console.write(make_filling(iteration, total_env_steps=total))
    for iteration in range(5, 8):  # 20 s each, of which 0.25 s in the loop
        clock.seconds += 20.0
        console.write(make_progress(iteration, total_env_steps=total))
    etas = [line.split(" eta=")[1] for line in stream.getvalue().splitlines()]
    # after iteration 7 three are left
    assert etas == ["-"] * 6 + ["0:01:20", "0:01:00"]


def test_every_line_is_flushed():
    stream = Stream()
    console = monitor.PlainConsole(stream)
    console.start(make_info())
    assert stream.flushed.startswith("keras_dqn 0.1.0\n")
    console.write(make_progress(0))
    assert stream.flushed.endswith("eta=-\n")
    console.message("Saved checkpoint")
    assert stream.flushed.endswith("\nSaved checkpoint\n")


def test_slow_phases_are_said_once_before_they_begin():
    stream = Stream()
    console = monitor.PlainConsole(stream)
    for name in ("filling", "filling", "compiling", "training", "saving", "training"):
        console.phase(name)
    console.phase("evaluating")
    first, second, third = stream.flushed.splitlines()
    assert first.startswith("Filling the replay")
    assert second.startswith("Compiling")
    assert third.startswith("Evaluating")


def test_the_first_lines_say_what_runs_on_what_with_what_memory():
    stream = Stream()
    monitor.PlainConsole(stream).start(make_info())
    assert stream.getvalue().splitlines() == [
        "keras_dqn 0.1.0",
        "  backend   jax, CPU",
        "  versions  keras 3.15.1",
        "  game      ALE/Breakout, 8 environments, life_loss=terminal, frame_skip=4",
        "  scores    of whole games, rewards as the game gives them (not clipped)",
        "  replay    3.00 GiB when full, 16,384 transitions",
        "  run       40,000,000 agent steps, seed 7",
    ]


def test_the_first_lines_fit_eighty_columns():
    stream = Stream()
    options = {f"option_number_{i}": i for i in range(30)}
    monitor.PlainConsole(stream).start(make_info(env_options=options))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "option_number_29=29" in stream.getvalue()


def test_a_message_that_the_stream_cannot_encode_is_escaped():
    raw = io.BytesIO()
    console = monitor.PlainConsole(io.TextIOWrapper(raw, encoding="ascii"))
    console.message("Saved checkpoint in /home/jos\u00e9")
    assert raw.getvalue() == b"Saved checkpoint in /home/jos\\xe9\n"


def test_nothing_is_said_after_closing_twice():
    stream = Stream()
    with monitor.PlainConsole(stream) as console:
        console.close()
    console.write(make_progress(0))
    console.message("late")
    assert stream.getvalue() == ""


def test_a_closed_stream_silences_the_console():
    stream = Stream()
    console = monitor.PlainConsole(stream)
    stream.close()
    console.write(make_progress(0))
    console.write(make_progress(10))


def test_an_error_that_is_not_the_streams_is_not_hidden():
    class Broken(Stream):
        def write(self, text):
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        monitor.PlainConsole(Broken()).write(make_progress(0))


def test_training_goes_on_when_the_reader_of_the_pipe_goes_away():
    """`python train.py | head -1`: no traceback, exit code 0, all iterations."""
    code = (
        "import sys\n"
        "from test_monitor_base import make_info, make_progress\n"
        "from keras_dqn import monitor\n"
        "with monitor.make_console() as console:\n"
        "    console.start(make_info())\n"
        "    sys.stdin.readline()\n"  # the reader is gone now
        "    for i in range(2000):\n"
        "        console.write(make_progress(i))\n"
        "print('others may print')\n"
        "sys.stderr.write(f'reached {i}')\n"
    )
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    first = child.stdout.readline()
    child.stdout.close()
    child.stdin.write("\n")
    child.stdin.close()
    errors = child.stderr.read()
    child.stderr.close()
    assert first == "keras_dqn 0.1.0\n"
    assert (child.wait(timeout=60), errors) == (0, "reached 1999")


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_pipe_gets_lines_and_only_a_terminal_gets_the_panel(term, monkeypatch):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("CI", raising=False)

    class Terminal(Stream):
        def isatty(self):
            return True

    assert isinstance(monitor.make_console(stream=Stream()), monitor.PlainConsole)
    on_terminal = monitor.make_console(stream=Terminal())
    expected = monitor.PlainConsole if term == "dumb" else monitor.LiveConsole
    assert isinstance(on_terminal, expected)
    monkeypatch.setenv("CI", "true")  # a log, though it looks like a terminal
    in_ci = monitor.make_console(stream=Terminal())
    assert isinstance(in_ci, monitor.PlainConsole)


def test_the_mode_of_the_console_can_be_forced():
    live = monitor.make_console("live", io.StringIO())
    assert isinstance(live, monitor.LiveConsole)
    assert isinstance(monitor.make_console("plain"), monitor.PlainConsole)
    with pytest.raises(ValueError, match=r"`mode` must .*Received: mode='loud'"):
        monitor.make_console("loud")


def test_the_console_of_mode_none_says_nothing(capsys):
    with monitor.make_console("none") as console:
        console.start(make_info())
        console.write(make_progress(0))
        console.message("hello")
    assert capsys.readouterr() == ("", "")
