"""The public names for type checkers, which cannot follow `__getattr__`."""

from keras_dqn import envs as envs
from keras_dqn import exploration as exploration
from keras_dqn import interfaces as interfaces
from keras_dqn import models as models
from keras_dqn import presets as presets
from keras_dqn import pretrained as pretrained
from keras_dqn import replay as replay
from keras_dqn import schedules as schedules
from keras_dqn.agent import DQNAgent as DQNAgent
from keras_dqn.algorithms.dqn import DQN as DQN
from keras_dqn.backend import Learner as Learner
from keras_dqn.config import Settings as Settings
from keras_dqn.envs import make_envs as make_envs
from keras_dqn.models import load_network as load_network
from keras_dqn.policy import Policy as Policy
from keras_dqn.replay import MinTree as MinTree
from keras_dqn.replay import PrioritizedReplay as PrioritizedReplay
from keras_dqn.replay import SumTree as SumTree
from keras_dqn.replay import UniformReplay as UniformReplay
from keras_dqn.schedules import PiecewiseSchedule as PiecewiseSchedule

__version__: str
__all__: list[str]
