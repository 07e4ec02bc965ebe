"""The notebook of the documents runs from top to bottom, on a backend."""

import keras
import nbformat
import numpy as np

import keras_dqn
from tests import notebooks

ASKS = nbformat.v4.new_code_cell("print(keras.config.backend(), len(history))")


def text(cell):
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def kinds(cell):
    """What a cell shows."""
    return [kind for out in cell.outputs for kind in out.get("data", ())]


def test_the_notebook_trains_plots_plays_and_saves(tmp_path):
    notebook = notebooks.shortened(notebooks.read("cartpole.ipynb"))
    notebook.cells.append(ASKS)
    notebooks.execute(notebook, tmp_path)
    cells = {cell.id: cell for cell in notebook.cells}
    backend, count = text(notebook.cells[-1]).split()
    assert backend == keras.config.backend()
    assert int(count) >= 3  # points of the curves
    assert "text/html" in kinds(cells["fit"])
    assert "Progress(env_steps_done=1280" in str(cells["fit"].outputs)
    assert "image/png" in kinds(cells["plot"])
    assert "image/png" in kinds(cells["q-values"])
    score, action = text(cells["play"]).splitlines()
    assert score.startswith("CartPole-v1: mean score ")
    assert action in ("left", "right")
    assert text(cells["save"]) == "True\n"
    network = keras_dqn.load_network(tmp_path / "cartpole.keras")
    left = np.float32([[0, 0, -0.2, 0]])
    q_values = keras.ops.convert_to_numpy(network(left))
    assert ("left", "right")[int(q_values.argmax())] == action
