"""The bar of an evaluation that no panel shows."""

import io

import pytest

from keras_dqn.monitor.bar import games_bar

pytestmark = pytest.mark.numpy


class Terminal(io.StringIO):
    is_gone = False

    def isatty(self):
        return True

    def write(self, text):
        if self.is_gone:
            raise BrokenPipeError
        return super().write(text)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("CI", raising=False)
    return Terminal()


def play(mode, stream):
    with games_bar(mode, stream) as on_game:
        for done in range(4):
            on_game(done, 3)


@pytest.mark.parametrize("mode", ["auto", "live"])
def test_on_a_terminal_the_games_are_counted_and_the_cursor_comes_back(mode, terminal):
    play(mode, terminal)
    text = terminal.getvalue()
    assert "None" not in text
    for count in ("0 of 3 games", "2 of 3 games", "3 of 3 games"):
        assert count in text
    assert text.rindex("\x1b[?25h") > text.rindex("3 of 3")


def test_elsewhere_it_is_one_line_or_none(terminal):
    pipe = io.StringIO()
    for stream, mode in ((pipe, "auto"), (terminal, "plain")):
        play(mode, stream)
        assert stream.getvalue() == "Evaluating ...\n"
    silent = io.StringIO()
    play("none", silent)
    assert silent.getvalue() == ""


def test_a_closed_terminal_does_not_end_the_evaluation(terminal):
    with games_bar("auto", terminal) as on_game:
        on_game(0, 2)
        terminal.is_gone = True
        on_game(1, 2)
