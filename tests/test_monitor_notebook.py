"""The console in a notebook: with a display of our making, and in a real kernel."""

import sys
import types

import nbclient
import nbformat
import numpy as np
import pytest

from keras_dqn import monitor
from keras_dqn.evaluation import Evaluation
from tests.records import Clock
from tests.records import make_info
from tests.records import make_progress

pytestmark = pytest.mark.numpy


class Page:
    """What a cell shows: how often it was made and replaced, and its last HTML."""

    def __init__(self):
        self.made = self.replaced = 0
        self.html = ""

    def display(self, html):
        self.made += 1
        self.html = html
        return self.replace

    def replace(self, html):
        self.replaced += 1
        self.html = html


def start(**options):
    page, clock = Page(), Clock()
    console = monitor.NotebookConsole(clock=clock, display=page.display, **options)
    console.start(make_info(**{"settings": {"stop_at_score": 5.0}}))
    return console, page, clock


def test_there_is_one_output_replaced_at_most_once_a_second():
    console, page, clock = start()
    for i in range(1000):  # 10 s in all
        clock.seconds += 0.01
        console.write(make_progress(i))
    assert page.made == 1
    assert 8 <= page.replaced <= 10
    assert "ALE/Breakout" in page.html and "mean score" in page.html


def test_the_output_does_not_grow_with_messages_and_escapes_them():
    console, page, clock = start()
    for i in range(100):
        clock.seconds += 1
        console.message(f"Saved <checkpoint> {i}.")
    assert "Saved &lt;checkpoint&gt; 99." in page.html
    assert page.html.count("Saved") <= 10


def test_the_first_update_and_the_end_are_shown_at_once():
    console, page, clock = start()
    console.phase("compiling")
    assert "compiling the train step" in page.html
    console.write(make_progress(0))
    console.evaluation(32, Evaluation(np.array([6.0]), np.ones(1), 0.0, "t"), True)
    console.close()
    assert "solved" in page.html
    replaced = page.replaced
    console.close()
    console.message("late")
    console.write(make_progress(1))
    assert page.replaced == replaced


def test_each_run_has_an_output_of_its_own():
    console, page, _ = start()
    console.close()
    console.start(make_info())
    assert page.made == 2


def test_a_kernel_gets_the_notebook_console_and_others_do_not(monkeypatch):
    shells = [types.SimpleNamespace(kernel=object()), types.SimpleNamespace(), None]
    kinds = []
    for shell in shells:
        ipython = types.SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        kinds.append(type(monitor.make_console()).__name__)
    assert kinds == ["NotebookConsole", "PlainConsole", "PlainConsole"]


CELL = """
from tests.records import make_info, make_progress
from keras_dqn import monitor
with monitor.make_console() as console:
    console.start(make_info())
    for i in range(2000):
        console.write(make_progress(i))
    console.message("Saved checkpoint")
make_progress(2000)
"""


def test_a_notebook_is_executed_and_has_one_display_and_a_short_result():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    display, result = notebook.cells[0].outputs
    assert display.output_type == "display_data"
    page = display.data["text/html"]
    assert "64k of 40M" in page and "stopped before the end" in page
    assert "Saved checkpoint" in page
    assert result.output_type == "execute_result"
    text = result.data["text/plain"]
    assert text.startswith("Progress(env_steps_done=64032,") and len(text) < 200
