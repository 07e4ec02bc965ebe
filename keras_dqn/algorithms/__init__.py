"""Targets, losses and the `keras.Model` that is trained with them."""
