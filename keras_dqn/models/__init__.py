"""Makes, copies and loads Q-networks, which are functional Keras models."""

from keras_dqn.models.copying import copy_network
from keras_dqn.models.dueling import dueling_cnn
from keras_dqn.models.dueling import dueling_mlp
from keras_dqn.models.dueling import for_settings
from keras_dqn.models.dueling import q_network
from keras_dqn.models.greedy_model import greedy
from keras_dqn.models.heads import dueling_head
from keras_dqn.models.loading import load_network

__all__ = [
    "copy_network",
    "dueling_cnn",
    "dueling_head",
    "dueling_mlp",
    "for_settings",
    "greedy",
    "load_network",
    "q_network",
]
