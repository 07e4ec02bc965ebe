"""PyTorch as a runtime: exports with a free batch size, opens what was exported."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def options() -> dict[str, Any]:
    """Returns the options of Keras's `Model.export` that keep the batch size free."""
    return {"dynamic_shapes": ({0: torch.export.Dim.DYNAMIC},)}


def run(path: str, observations: np.ndarray) -> np.ndarray:
    """Returns the outputs of a file that `torch.export` wrote."""
    module = torch.export.load(path).module()
    with torch.no_grad():
        return module(torch.from_numpy(observations)).numpy()
