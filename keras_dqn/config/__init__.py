"""The fields of `Settings`, and the rules between them."""

from keras_dqn.config.settings import FIELDS
from keras_dqn.config.settings import Settings
from keras_dqn.config.settings import SettingsError
from keras_dqn.config.settings import checked

__all__ = ["FIELDS", "Settings", "SettingsError", "checked"]
