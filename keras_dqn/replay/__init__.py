"""Replay: stores transitions and samples minibatches of them. Needs only NumPy.

- `base.py`: `Replay`, the base class; `sample.py`: `Sample`, a minibatch.
- `prioritized.py`, `uniform.py`: the probability of each transition.
- `storage.py`: stores transitions and computes n-step returns.
- `frames.py`: stores each frame once and rebuilds stacks; `final_frames.py`: the last
  frames of episodes; `mirror.py`: a copy of all frames on an accelerator.
- `segment_tree.py`: `SumTree` and `MinTree`; `priority_tree.py`: both over the same
  leaves.
- `arguments.py`, `checks.py`: checks of arguments and states.
"""

from keras_dqn.replay.base import Replay
from keras_dqn.replay.prioritized import PrioritizedReplay
from keras_dqn.replay.sample import Sample
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
