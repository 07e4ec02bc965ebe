"""PyTorch: a network, compiled for acting, and `torch.compile` with a fallback."""

from __future__ import annotations

import collections
import types
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch
import torch._dynamo
from keras import ops

from keras_dqn.backend.base import BaseQFunction
from keras_dqn.backend.passes import ForwardPass

MOST_SHAPES = 64  # largest number of argument shapes of a compiled function
_TOO_MANY_SHAPES = torch._dynamo.exc.FailOnRecompileLimitHit


class QFunction(BaseQFunction):
    __doc__ = BaseQFunction.__doc__

    def _build(self):
        self.trace_counts["q_values"] += 0
        self._pass_class = pass_class_of(self.network)
        self._compiled = compiled(
            "q_values", self._step, self.jit_compile, self.trace_counts
        )

    @torch.no_grad()
    def _q_values(self, observations):
        return self._compiled(ops.convert_to_tensor(observations))

    def _step(self, observations):
        observations = self._to_network_layout(observations)
        return self._to_q_values(self._pass_class(self.network)(observations))


class PlainPass(ForwardPass):
    """A forward pass of a network in which no layer changes a variable.

    It works without `keras.StatelessScope`, which `torch.compile` cannot compile.
    """

    def __call__(self, observations: Any) -> Any:
        outputs = self._call(observations)
        self.losses = self._network.losses
        return outputs


def pass_class_of(network: keras.Model) -> type[ForwardPass]:
    """Returns `PlainPass` if a trial call changes no variable, else `ForwardPass`."""
    tensor = network.inputs[0]
    shape = [1 if size is None else size for size in tensor.shape]
    trial = ForwardPass(network, training=True)
    try:
        with torch.no_grad():
            trial(ops.zeros(shape, tensor.dtype))
    except Exception:  # the network refuses zeros or a batch of 1
        return ForwardPass
    return ForwardPass if trial.changed else PlainPass


def input_gradient(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function: the gradient of the largest Q-value by the observations.

    Args:
        network: `keras.Model` with a float input. Its weights must not change.

    Returns:
        Function of a float32 array `(n, *observation)` that returns one of the same
        shape.
    """

    def gradient(observations):
        inputs = ops.convert_to_tensor(observations).requires_grad_()
        total = network(inputs, training=False).amax(dim=1).sum()
        return torch.autograd.grad(total, inputs)[0].cpu().numpy()

    return gradient


def compiled(
    name: str,
    function: Callable[..., Any],
    jit_compile: bool | str,
    trace_counts: collections.Counter[str],
) -> Callable[..., Any]:
    """Returns the compiled function, or `function` if `jit_compile` is false."""
    if jit_compile is False:
        return function
    return Compiled(name, function, trace_counts, may_fall_back=jit_compile == "auto")


class Compiled:
    """A function, compiled as one graph, which may fall back to eager mode.

    `torch.compile` needs a C++ compiler (on a GPU, Triton). It fails for some
    optimizers and for Keras's preprocessing layers (`Rescaling`; a division works).
    If the first call fails, or there are too many argument shapes, the function runs
    eagerly from then on, with a warning. With `jit_compile=True` the error is raised.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        trace_counts: collections.Counter[str],
        may_fall_back: bool,
    ) -> None:
        self._name, self._function = name, function
        self._has_run = False
        self._may_fall_back = may_fall_back

        def step(*arguments):
            return function(*arguments)

        def keep_guards(guards):  # called once for each graph
            trace_counts[name] += 1
            # Only tensors are guarded. Otherwise every call would check all of
            # Keras's attributes for changes, which the other backends do not do.
            return torch.compiler.keep_tensor_guards_unsafe(guards)

        # The compiler caches by code object, so each learner needs its own.
        code = step.__code__.replace(co_name=f"{name}_{id(self):x}")
        step = types.FunctionType(code, step.__globals__, closure=step.__closure__)
        self._compiled = torch.compile(
            step,
            fullgraph=True,
            dynamic=False,
            # `_set_memory_layout` has already chosen the layout.
            options={"layout_optimization": False, "guard_filter_fn": keep_guards},
        )

    def __call__(self, *arguments: Any) -> Any:
        if self._compiled is None:
            return self._function(*arguments)
        if not self._may_fall_back:
            return self._run(arguments)
        try:
            return self._run(arguments)
        except Exception as error:
            if self._has_run and not isinstance(error, _TOO_MANY_SHAPES):
                raise
            self._compiled = None
            result = self._function(*arguments)
            reason = str(error).strip().partition("\n")[0]
            warnings.warn(
                f"torch.compile failed, so {self._name} runs eagerly from now on, "
                f"which is slower. {type(error).__name__}: {reason}",
                stacklevel=2,
            )
            return result

    def _run(self, arguments):
        # The gradient is part of the graph. Each shape has its own graph.
        with torch._dynamo.config.patch(
            trace_autograd_ops=True, recompile_limit=MOST_SHAPES
        ):
            result = self._compiled(*arguments)
        self._has_run = True
        return result
