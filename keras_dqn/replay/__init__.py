"""Replay: transitions are stored, drawn again by priority, and learned from.

Needs NumPy and nothing else. With Numba it is faster.

- `PrioritizedReplay`, `UniformReplay`: which transitions are drawn, how likely.
- `storage.py`: what a transition is; n-step returns.
- `frames.py`: each frame stored once, stacks rebuilt; `final_frames.py`: those with
  which episodes ended; `mirror.py`: a copy of all of them on an accelerator.
- `segment_tree.py`: `SumTree` and `MinTree`, which make priorities fast.
- `priority_tree.py`: both in one, over the same leaves; `compiled.py`: the same
  in Numba, where it is installed.
"""

from keras_dqn.replay.base import Replay
from keras_dqn.replay.base import Sample
from keras_dqn.replay.prioritized import PrioritizedReplay
from keras_dqn.replay.segment_tree import MinTree
from keras_dqn.replay.segment_tree import SumTree
from keras_dqn.replay.uniform import UniformReplay
from keras_dqn.system.memory import available_bytes
from keras_dqn.system.memory import check_fits

__all__ = [
    "MinTree",
    "PrioritizedReplay",
    "Replay",
    "Sample",
    "SumTree",
    "UniformReplay",
    "available_bytes",
    "check_fits",
]
