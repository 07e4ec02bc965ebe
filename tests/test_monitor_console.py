"""The live panel, on a terminal of our making."""

import atexit
import io
import re
import sys
import time

import pytest

from keras_dqn import monitor
from tests.records import Clock
from tests.records import make_filling
from tests.records import make_info
from tests.records import make_progress
from tests.screen import Screen
from tests.screen import shown

pytestmark = pytest.mark.numpy

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def test_the_panel_shows_every_figure():
    screen = Screen(width=80)
    with screen.console:
        screen.console.start(make_info())
        screen.write(make_progress(1_000_000, updates=7_995_920))
        screen.write(make_progress(1_000_001, updates=7_995_928), 2.0)
        panel = re.sub(r" +", " ", screen.panel)
    for figure in (
        "keras_dqn - ALE/Breakout",
        "jax - CPU",
        "80.0 %",
        "elapsed 0:00:03, left 5d 18:53",  # 7,999,936 steps at 16 a second
        "agent steps 32M of 40M",
        "agent steps/s 128",  # 32 in 0.25 s
        "emulator frames 128M (x 4)",
        "updates 7,995,928",
        "updates/s 32.0",  # 8 in 0.25 s
        "games 150",
        "mean score 12.35 (last 100 games)",
        "best score 42.00 (one game)",
        "mean length 31.2 steps",
        "replay 100.0 %, 64.0 MiB",
        "loss 0.125",
        "Q mean 1.500 ± 0.750",
        "|TD error| 0.0625",
        "epsilon 0.2500",
        "beta 0.5000",
    ):
        assert figure in panel


@pytest.mark.parametrize("width", [48, 57, 58, 60, 79, 80, 113, 114, 120, 200])
def test_the_panel_fits_the_width_and_cuts_nothing(width):
    screen = Screen(width)
    info = make_info(total_env_steps=123_450_000)
    with screen.console:
        screen.console.start(info)
        large = make_progress(
            3_000_000, score_mean=12345.678, best_score=-999.5, q_mean=-123.456
        )
        screen.write(large)
        screen.write(large)
    lines = screen.panel.strip().splitlines()
    assert {len(line) for line in lines} == {width - 2}
    assert "…" not in screen.panel
    assert "12,346 (last 100 games)" in screen.panel


def columns_at(width):
    """How many figures stand beside "agent steps/s"."""
    (row,) = [
        line
        for line in shown(make_progress(0), width).splitlines()
        if line.startswith("│ agent steps/s ")
    ]
    return 1 + ("mean score" in row) + ("Q mean" in row)


@pytest.mark.parametrize(("width", "columns"), [(60, 1), (80, 2), (120, 3)])
def test_the_figures_stand_in_more_columns_where_there_is_room(width, columns):
    assert columns_at(width) == columns


def test_while_the_replay_fills_the_panel_says_so():
    panel = shown(make_filling(220))  # 7,072 of 16,384
    assert "filling the replay 43 % - training starts when it is full" in panel
    assert "replay 43.1 %" in panel
    assert "left" not in panel  # filling is no guide to the time left
    assert "loss -" in panel
    assert "mean score -" in panel


def test_the_panel_shows_when_training_starts_before_the_replay_is_full():
    info = make_info(settings={"learning_starts_env_steps": 10_000})
    panel = shown(make_filling(220), info=info)
    assert "43 % - training starts at 61 %" in panel  # 10,000 of 16,384


def test_scores_of_single_lives_are_labeled_as_such():
    lives = make_info(env_options={"life_loss": "reset", "frame_skip": 4})
    panel = shown(make_progress(0, episode_count=37), info=lives)
    assert "lives 37" in panel
    assert "mean score 12.35 (last 37 lives)" in panel
    assert "best score 42.00 (one life)" in panel


def test_without_a_frame_skip_no_emulator_frames_are_claimed():
    panel = shown(make_progress(0), info=make_info(env_options={}))
    assert "emulator" not in panel
    assert "episodes 150" in panel


def test_a_drawing_is_due_by_the_clock_and_not_by_the_iteration():
    screen = Screen(refresh_seconds=0.5)
    with screen.console:
        screen.console.start(make_info())
        for i in range(1000):
            screen.write(make_progress(i), 0.01)  # 10 s in all
        assert 18 <= screen.drawings <= 21


def test_a_clock_that_stands_still_draws_once():
    screen = Screen()
    with screen.console:
        screen.console.start(make_info())
        for i in range(1000):
            screen.write(make_progress(i), 0.0)
        assert screen.drawings == 1


def test_writing_without_drawing_costs_little():
    screen = Screen(refresh_seconds=1e9)
    with screen.console:
        screen.console.start(make_info())
        record = make_progress(0)
        screen.write(record)
        costs = []
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(1000):
                screen.console.write(record)
            costs.append((time.perf_counter() - start) / 1000)
    assert min(costs) < 50e-6


def test_the_rates_and_the_time_left_begin_with_training():
    screen = Screen()
    total = 32 * 30
    with screen.console:
        screen.console.start(make_info())
        for i in range(10):  # 3200 a second
            screen.write(make_filling(i, seconds=0.01, total_env_steps=total), 0.01)
        # The first update compiles for 100 s; then 2 s each, 1 s in the loop.
        for i in range(10, 20):
            wall, work = (100.0, 99.0) if i == 10 else (2.0, 1.0)
            screen.write(make_progress(i, seconds=work, total_env_steps=total), wall)
        panel = re.sub(r" +", " ", screen.panel)
    assert "agent steps/s 32 " in panel
    assert "updates/s 8.0 " in panel
    assert "left 0:00:20" in panel  # ten more iterations, 2 s each


def test_a_message_stands_above_the_panel_as_it_is():
    screen = Screen()
    with screen.console:
        screen.console.start(make_info())
        screen.write(make_progress(0))
        before = len(screen.text)
        screen.console.message("Saved [bold]x[/bold]")
        added = screen.text[before:]
    assert added.index("Saved [bold]x[/bold]") < added.index("╭")


def test_the_cursor_comes_back_and_the_last_figures_stay():
    screen = Screen()
    screen.console.start(make_info())
    screen.write(make_progress(0))
    screen.write(make_progress(1, episode_count=151), 0.0)  # not drawn yet
    assert "151" not in screen.text
    screen.console.close()
    written = screen.file.getvalue()
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)
    assert "151" in screen.panel
    screen.console.close()
    screen.console.message("late")
    screen.write(make_progress(2))
    assert screen.file.getvalue() == written


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_the_with_block_leaves_the_terminal_clean(error):
    screen = Screen()
    with pytest.raises(error), screen.console:
        screen.console.start(make_info())
        screen.write(make_progress(0))
        raise error
    written = screen.file.getvalue()
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


def test_an_interrupt_in_the_middle_of_a_drawing_leaves_the_terminal_clean():
    screen = Screen()
    write = screen.file.write

    def interrupt(text):
        screen.file.write = write
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), screen.console:
        screen.console.start(make_info())
        screen.file.write = interrupt
        screen.write(make_progress(0))
    written = screen.file.getvalue()
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


def test_stdout_is_left_alone_by_a_console_on_another_stream():
    before = sys.stdout, sys.stderr
    screen = Screen()
    with screen.console:
        screen.console.start(make_info())
        assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("error", [BrokenPipeError, OSError])
def test_a_terminal_that_goes_away_silences_the_console(error):
    class Terminal(io.StringIO):
        is_gone = False

        def isatty(self):
            return True

        def write(self, text):
            if self.is_gone:
                raise error
            return super().write(text)

    stream = Terminal()
    clock = Clock()
    console = monitor.LiveConsole(stream, clock=clock)
    with console:
        console.start(make_info())
        stream.is_gone = True
        for i in range(3):
            clock.seconds += 10
            console.write(make_progress(i))
        console.message("hello")
    assert sys.stdout is not stream


def test_an_error_that_is_not_the_terminals_is_not_hidden():
    screen = Screen()
    write = screen.file.write

    def fail(text):
        screen.file.write = write
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"), screen.console:
        screen.console.start(make_info())
        screen.file.write = fail
        screen.write(make_progress(0))


def test_nothing_is_left_to_do_at_exit_after_closing(monkeypatch):
    left = []
    monkeypatch.setattr(atexit, "register", left.append)
    monkeypatch.setattr(atexit, "unregister", left.remove)
    screen = Screen()
    screen.console.start(make_info())
    assert left == [screen.console.close]
    screen.console.close()
    assert left == []
