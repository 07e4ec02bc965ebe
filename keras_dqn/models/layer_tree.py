"""Finds the layers inside a layer, at any depth.

Models have a list of layers; wrappers, cells and user-defined layers have them as
attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras


def is_layer(operation: object) -> bool:
    """Whether `operation` is a layer, and not one of `keras.ops` such as `add`."""
    return isinstance(operation, keras.layers.Layer)


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers inside a layer, at any depth, without the layer itself."""
    found = {}
    todo = [layer]
    while todo:
        for value in vars(todo.pop()).values():
            for each in _layers_in(value):
                if id(each) not in found:
                    found[id(each)] = each
                    todo.append(each)
    return list(found.values())


def _layers_in(value):
    values = value.values() if isinstance(value, dict) else value
    values = values if isinstance(value, dict | list | tuple) else [value]
    return [each for each in values if is_layer(each)]


def pairs_of(original: Any, copy: Any, seen: Any = ()) -> Iterator[tuple[Any, Any]]:
    """Yields `(layer, its copy)` for a layer, then for all layers inside it."""
    seen = seen or set()
    if original is copy or id(original) in seen:
        return
    seen.add(id(original))
    yield original, copy
    for name, value in vars(original).items():
        both = _layers_in(value), _layers_in(vars(copy).get(name))
        for one, other in zip(*both, strict=False):
            yield from pairs_of(one, other, seen)
