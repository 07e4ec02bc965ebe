"""The update in plain PyTorch: channels-last, fused Adam, eager or compiled.

As `native/tensorflow.py` and `native/jax.py`: same names in the same order.
`torch.optim.Adam` adds epsilon after the bias correction, Keras before it, so it is
given another epsilon at each step.
"""

import shutil

import torch
import torch.nn.functional as F

STRIDES = {"conv1": 4, "conv2": 2, "conv3": 1}
HAS_COMPILER = any(map(shutil.which, ("c++", "g++", "clang++")))


class NativeStep:
    """One double-Q update of the dueling CNN, and its Q-values.

    Args:
        weights: Dictionary, layer name to `(kernel, bias)`, NumPy arrays as the
            Keras layers have them.
        variant: `"eager"`, or `"compile"` (`torch.compile` of forward pass and
            loss; needs a C++ compiler).
        learning_rate, epsilon, clipnorm, delta: Floats.
    """

    variants = ("eager", "compile") if HAS_COMPILER else ("eager",)

    def __init__(
        self,
        weights,
        variant="eager",
        learning_rate=1e-4,
        epsilon=1e-8,
        clipnorm=10.0,
        delta=1.0,
    ):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.epsilon, self.clipnorm, self.delta = epsilon, clipnorm, delta
        self.count = 0
        self.online = {
            f"{layer}/{part}": self._parameter(array)
            for layer, pair in weights.items()
            for part, array in zip("kb", pair, strict=True)
        }
        self.target = {name: w.detach().clone() for name, w in self.online.items()}
        self.optimizer = torch.optim.Adam(
            self.online.values(), lr=learning_rate, fused=True
        )
        self._loss = self._loss_of
        self._q_values = self._forward
        if variant == "compile":
            self._loss = torch.compile(self._loss_of, dynamic=False)
            self._q_values = torch.compile(self._forward, dynamic=False)

    def update(self, batch):
        """Takes one step. Returns the TD errors, `(batch,)` NumPy."""
        batch = {key: self._tensor(value) for key, value in batch.items()}
        loss, errors = self._loss(self.online, self.target, batch)
        self._adam(loss)
        return errors.detach().cpu().numpy()

    @torch.no_grad()
    def q_values(self, observations):
        """Returns `(n, actions)` NumPy."""
        return self._q_values(self.online, self._tensor(observations)).cpu().numpy()

    def weights(self):
        """Returns the online weights by name, as Keras has them."""
        arrays = {name: w.detach().cpu().numpy() for name, w in self.online.items()}
        return {
            name: (w.transpose(2, 3, 1, 0) if w.ndim == 4 else w).copy()
            for name, w in arrays.items()
        }

    def _forward(self, w, x):
        x = x.to(torch.float32).div_(255.0)
        x = x.contiguous(memory_format=torch.channels_last)
        for name, stride in STRIDES.items():
            x = F.relu(F.conv2d(x, w[f"{name}/k"], w[f"{name}/b"], stride))
        x = x.permute(0, 2, 3, 1).flatten(1)

        def dense(name, x):
            return torch.addmm(w[f"{name}/b"], x, w[f"{name}/k"])

        scores = dense("advantage_scores", F.relu(dense("advantage_hidden", x)))
        value = dense("value_score", F.relu(dense("value_hidden", x)))
        return value + scores - scores.mean(-1, keepdim=True)

    def _loss_of(self, online, target, batch):
        with torch.no_grad():
            following = batch["next_observations"]
            best = self._forward(online, following).argmax(-1)
            next_q = _at(self._forward(target, following), best)
            targets = batch["rewards"] + batch["discounts"] * next_q
        q = self._forward(online, batch["observations"])
        errors = _at(q, batch["actions"]) - targets
        zeros = torch.zeros_like(errors)
        huber = F.huber_loss(errors, zeros, reduction="none", delta=self.delta)
        return torch.mean(batch["weights"] * huber), errors

    def _adam(self, loss):
        gradients = torch.autograd.grad(loss, list(self.online.values()))
        for norm, gradient in zip(
            torch._foreach_norm(gradients), gradients, strict=True
        ):
            gradient.mul_(self.clipnorm / norm.clamp(min=self.clipnorm))
        for w, gradient in zip(self.online.values(), gradients, strict=True):
            w.grad = gradient
        self.count += 1
        for group in self.optimizer.param_groups:
            group["eps"] = self.epsilon / (1.0 - 0.999**self.count) ** 0.5
        self.optimizer.step()

    def _parameter(self, array):
        w = torch.tensor(array, device=self.device).contiguous()
        if w.ndim == 4:  # Keras: height, width, in, out
            w = w.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        return w.requires_grad_()

    def _tensor(self, array):
        return torch.from_numpy(array).to(self.device)


def _at(q, actions):
    return q.gather(1, actions[:, None].long())[:, 0]
