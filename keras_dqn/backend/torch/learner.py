"""The double-Q update on PyTorch: autograd, parameters in place.

Eagerly, Keras costs as much as the network: layers and optimizer are walked in
Python, and the optimizer passes over the weights ten times. So a learner hands
the whole step, optimizer included, to `torch.compile` as one graph.
"""

import types
import warnings

import keras
import torch
import torch._dynamo
from keras import ops

from keras_dqn.backend.base import BaseLearner
from keras_dqn.backend.frames import BaseDeviceFrames

MOST_SHAPES = 64  # of the arguments of a compiled function
_TOO_MANY = torch._dynamo.exc.FailOnRecompileLimitHit


class TrainStep(keras.Model):
    """`train_step` by PyTorch's contract: a batch in, logs out."""

    def gradient_step(self, batch):
        """Moves the online network one step.

        Returns:
            Loss, TD errors, Q(s, a), and whether loss and gradients are finite.
            If not, nothing moved.
        """
        with torch.no_grad():
            targets = self.targets(self.network, self.target_network, batch)
        variables = self.network.trainable_variables
        loss, (td_errors, q_values) = self.loss_of(self.network, batch, targets)
        scaled_loss = self.optimizer.scale_loss(loss)
        gradients = torch.autograd.grad(
            scaled_loss,
            [variable.value for variable in variables],
            allow_unused=True,
            materialize_grads=True,
        )
        with torch.no_grad():
            is_finite = self.is_finite(loss, gradients)
            self._apply(gradients, variables, is_finite)
        return loss.detach(), td_errors.detach(), q_values.detach(), is_finite

    def _apply(self, gradients, variables, is_finite):
        """Lets the optimizer move the variables, but not by NaN or infinity."""
        if not torch.compiler.is_compiling():
            if is_finite:
                self.optimizer.apply(gradients, variables)
            return
        # A graph has no branches; the copies and the choice melt into its kernels.
        changing = [v.value for v in (*variables, *self.optimizer.variables)]
        before = [value.clone() for value in changing]
        self.optimizer.apply(gradients, variables)
        for value, old in zip(changing, before, strict=True):
            value.copy_(torch.where(is_finite, value, old))

    def train_step(self, batch):
        """One gradient step of `fit`. Returns the logs."""
        *outputs, _ = self.gradient_step(batch)
        if self.target_sync_updates is not None:
            if int(self.optimizer.iterations) % self.target_sync_updates == 0:
                self.sync_target()
        return self._logs(*outputs)

    def test_step(self, batch):
        """The loss on a batch, without a gradient step. Returns the logs."""
        with torch.no_grad():
            targets = self.targets(self.network, self.target_network, batch)
            loss, (td_errors, q_values) = self.loss_of(self.network, batch, targets)
        return self._logs(loss, td_errors, q_values)

    def sum_of_squares(self, gradient):
        """Returns the float32 sum of a gradient's squared elements."""
        return torch.sum(torch.square(gradient.float()))

    def frames_last(self, observations):
        """Turns `(batch, frames, ...)` into `(batch, ..., frames)`."""
        return torch.moveaxis(observations, 1, -1)

    def sync_target(self):
        """Makes the target network equal to the online one, by copy."""
        pairs = zip(self.target_network.variables, self.network.variables, strict=True)
        with torch.no_grad():
            for target, online in pairs:
                target.assign(online.value)

    def _logs(self, loss, td_errors, q_values):
        self.loss_metric.update_state(loss)
        self.td_error_metric.update_state(torch.abs(td_errors))
        self.q_metric.update_state(q_values)
        return {metric.name: metric.result() for metric in self.metrics}


class Learner(BaseLearner):
    __doc__ = BaseLearner.__doc__

    def _build(self):
        self.trace_counts.update(update=0, update_many=0, q_values=0, inspect=0)
        self._lay_out()
        self._compiled_update = self._compiled("update", self._update_step)
        self._compiled_q_values = self._compiled("q_values", self._q_values_step)

    def _lay_out(self):
        """Puts weights and their slots in memory as the kernels read them.

        Keras's shapes stay; only strides change. Convolutions want the input
        channels next to each other, and an optimizer that walks a weight and its
        slots in different orders is many times slower.
        """
        for networks in (self.network, self.target_network, self.optimizer):
            for variable in networks.variables:
                value = variable.value.data
                if value.ndim == 4:  # height, width, in, out
                    value = value.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
                variable.value.data = value if value.ndim == 4 else value.contiguous()

    def _compiled(self, name, function):
        if self.jit_compile is False:
            return function
        return _Compiled(self, name, function)

    def sync_target(self):
        """Makes the target network equal to the online one, by copy."""
        self.model.sync_target()

    def sync_variables(self):
        """Puts the state into the Keras variables. Here it never left them."""

    def pull_variables(self):
        """Takes the Keras variables' values over. Here they are the state."""

    def _update(self, batch):
        return self._compiled_update(_to_tensors(batch), self._tables())

    def _update_many(self, batches):
        # No waiting in between: a device gets all steps before it is asked for one.
        batches = _to_tensors(batches)
        steps = [
            self._compiled_update(
                {key: x[k] for key, x in batches.items()}, self._tables()
            )
            for k in range(len(batches["actions"]))
        ]
        return [torch.stack(outputs) for outputs in zip(*steps, strict=True)]

    @torch.no_grad()
    def _q_values(self, observations):
        return self._compiled_q_values(ops.convert_to_tensor(observations))

    @torch.no_grad()
    def _inspect(self, batch):
        batch = DeviceFrames.look_up(_to_tensors(batch), self._tables())
        targets = self.model.targets(self.network, self.target_network, batch)
        _, (_, q_values) = self.model.loss_of(self.network, batch, targets)
        return q_values, targets

    def _update_step(self, batch, tables):
        batch = DeviceFrames.look_up(batch, tables)
        return self.model.gradient_step(batch)

    def _q_values_step(self, observations):
        return self.network(self.model.to_network_layout(observations))


class _Compiled:
    """A function of a learner, compiled as one graph; or as it is, if need be.

    `torch.compile` needs a C++ compiler (Triton on a GPU) and cannot follow every
    optimizer, nor Keras's preprocessing layers (`Rescaling`; a plain division it
    can). If it fails at first, or there are too many shapes, the function runs
    eagerly from then on, with a warning; with `jit_compile=True` the error is raised.
    """

    def __init__(self, learner, name, function):
        self._name, self._function = name, function
        self._has_run = False
        self._may_fall_back = learner.jit_compile == "auto"

        def step(*arguments):
            return function(*arguments)

        def keep_guards(guards):  # called once for each graph
            learner.trace_counts[name] += 1
            # Without these it looks through all of Keras's attributes each time,
            # for changes that the other backends do not look for either.
            return torch.compiler.keep_tensor_guards_unsafe(guards)

        # What is compiled is kept by code object: each learner needs its own.
        code = step.__code__.replace(co_name=f"{name}_{id(self):x}")
        step = types.FunctionType(code, step.__globals__, closure=step.__closure__)
        self._compiled = torch.compile(
            step,
            fullgraph=True,
            dynamic=False,
            # The layout that this would choose anew is that of `_lay_out`.
            options={"layout_optimization": False, "guard_filter_fn": keep_guards},
        )

    def __call__(self, *arguments):
        if self._compiled is None:
            return self._function(*arguments)
        if not self._may_fall_back:
            return self._run(arguments)
        try:
            return self._run(arguments)
        except Exception as error:
            if self._has_run and not isinstance(error, _TOO_MANY):
                raise
            self._compiled = None
            result = self._function(*arguments)  # an error of its own is raised
            reason = str(error).strip().partition("\n")[0]
            warnings.warn(
                f"torch.compile failed, so {self._name} runs eagerly from now on, "
                f"which is slower. {type(error).__name__}: {reason}",
                stacklevel=2,
            )
            return result

    def _run(self, arguments):
        # The gradient is taken inside the graph; a shape is a graph of its own.
        with torch._dynamo.config.patch(
            trace_autograd_ops=True, recompile_limit=MOST_SHAPES
        ):
            result = self._compiled(*arguments)
        self._has_run = True
        return result


class DeviceFrames(BaseDeviceFrames):
    __doc__ = BaseDeviceFrames.__doc__

    def _zeros(self, rows, grows=False):
        return ops.zeros((rows, *self._frame_shape), self._dtype)

    @staticmethod
    def _written(table, rows, frames):
        rows, frames = map(ops.convert_to_tensor, (rows, frames))
        return table.index_copy_(0, rows.long(), frames)

    @staticmethod
    def _joined(table, more):
        return torch.cat([table, more])

    @staticmethod
    def gather(tables, numbers):
        """Returns the frames with these numbers, `(*numbers.shape, *frame_shape)`."""
        ring, finals = tables
        numbers = ops.convert_to_tensor(numbers).long()
        count = len(ring)
        frames = ring[numbers.clamp(max=count - 1)]
        final_frames = finals[(numbers - count).clamp(min=0)]
        is_final = numbers >= count
        is_final = is_final.reshape(is_final.shape + (1,) * (ring.ndim - 1))
        return torch.where(is_final, final_frames, frames)


def _to_tensors(batch):
    return {key: ops.convert_to_tensor(value) for key, value in batch.items()}


def backend_versions():
    """Returns the versions of the framework, by name."""
    return {"torch": torch.__version__}


def device_name():
    """Returns the device that the learner computes on, in words."""
    device = ops.convert_to_tensor(0.0).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
