"""Times one gradient step against a hand-written one in the same framework.

`Learner.update` and the steps in `native/` get the same NumPy batches and hand
back TD errors as NumPy. First they are held against each other: the same TD
errors and the same weights after a few updates, or there is nothing to compare.

    KERAS_BACKEND=jax python benchmarks/update.py
"""

import argparse
import importlib

import keras
import machine
import numpy as np
import timing

from keras_dqn.algorithms.dqn import DQN
from keras_dqn.backend import Learner
from keras_dqn.backend import device_name
from keras_dqn.models.dueling import dueling_cnn

OPTIMIZER = {"learning_rate": 1e-4, "epsilon": 1e-8, "clipnorm": 10.0}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--num-envs", type=int, default=8, help="rows for Q-values")
    parser.add_argument("--num-actions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5, help="calls per round")
    parser.add_argument("--minibatches", type=int, default=8, help="K of update_many")
    variants = native_step().variants
    parser.add_argument(
        "--variants", nargs="+", choices=variants, default=variants, help="native steps"
    )
    parser.add_argument("--no-mixed", action="store_true", help="float32 only")
    parser.add_argument("--quick", action="store_true", help="seconds: does it run?")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.repeats, arguments.minibatches = 2, 1, 2
    return arguments


def make_learner(num_actions, dtype_policy="float32", **changes):
    """Returns a `Learner` of the reference network, always with the same weights."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy)
    try:
        network = dueling_cnn(num_actions, seed=0)
        model = DQN(network, stack_first=True)
        model.compile(optimizer=keras.optimizers.Adam(**{**OPTIMIZER, **changes}))
    finally:
        keras.config.set_dtype_policy(before)
    return Learner(model)


def make_native(learner, variant, **changes):
    """Returns the hand-written step, with the learner's weights."""
    layers = [layer for layer in learner.network.layers if layer.weights]
    weights = {layer.name: layer.get_weights() for layer in layers}
    return native_step()(weights, variant=variant, **{**OPTIMIZER, **changes})


def native_step():
    """Returns the hand-written class for the current backend."""
    return importlib.import_module(f"native.{keras.config.backend()}").NativeStep


def make_batch(size, num_actions, rng, minibatches=None):
    """Returns a batch as a replay hands it out: two views of one window of frames."""
    shape = (size,) if minibatches is None else (minibatches, size)
    frames = rng.integers(0, 256, (*shape, 5, 84, 84), np.uint8)
    return {
        "observations": frames[..., :-1, :, :],
        "actions": rng.integers(0, num_actions, shape).astype(np.int32),
        "rewards": rng.normal(0.0, 1.0, shape).astype(np.float32),
        "discounts": np.where(rng.random(shape) < 0.1, 0.0, 0.99).astype(np.float32),
        "next_observations": frames[..., 1:, :, :],
        "weights": rng.uniform(0.2, 1.0, shape).astype(np.float32),
    }


def agreement(num_actions, variant, updates=4):
    """Returns how far learner and native step are apart after a few updates.

    With a large epsilon: with a small one Adam blows up what is only rounding.
    """
    rng = np.random.default_rng(1)
    learner = make_learner(num_actions, epsilon=1e-4)
    native = make_native(learner, variant, epsilon=1e-4)
    start = native.weights()
    td_errors = 0.0
    for _ in range(updates):
        batch = make_batch(32, num_actions, rng)
        difference = learner.update(batch).td_errors - native.update(batch)
        td_errors = max(td_errors, float(np.abs(difference).max()))
    learner.sync_variables()
    end = native.weights()
    moved = differs = 0.0
    for layer in learner.network.layers:
        for part, array in zip("kb", layer.get_weights(), strict=False):
            name = f"{layer.name}/{part}"
            moved += float(np.square(array - start[name]).sum())
            differs += float(np.square(array - end[name]).sum())
    frames = batch["observations"]
    q_values = np.abs(learner.q_values(frames) - native.q_values(frames)).max()
    return {
        "td_errors": td_errors,
        "q_values": float(q_values),
        "weights": (differs / moved) ** 0.5,  # relative to how far they moved
    }


def check_agreement(num_actions, variants):
    """Compares learner and native steps; refuses to time what is not the same."""
    found = {v: agreement(num_actions, v) for v in variants}
    rows = [(v, *(f"{x:.1e}" for x in each.values())) for v, each in found.items()]
    columns = ("native step", "TD errors", "Q-values", "weights, relative")
    timing.print_table("Largest differences after 4 updates", columns, rows)
    for variant, each in found.items():
        if max(each.values()) > 1e-4:
            raise SystemExit(f"`{variant}` does not do the same maths: {each}")
    return found


def make_programs(arguments):
    """Returns what is timed, by name, and how many updates a call of it makes."""
    rng = np.random.default_rng(0)
    batch = make_batch(arguments.batch_size, arguments.num_actions, rng)
    many = make_batch(
        arguments.batch_size, arguments.num_actions, rng, arguments.minibatches
    )
    learner = make_learner(arguments.num_actions)
    programs = {
        "Learner.update": lambda: learner.update(batch),
        f"Learner.update_many, K={arguments.minibatches}": lambda: learner.update_many(
            many
        ),
    }
    observations = many["observations"][0][: arguments.num_envs]
    acting = {"Learner.q_values": lambda: learner.q_values(observations)}
    for variant in arguments.variants:
        native = make_native(learner, variant)
        programs[f"native update ({variant})"] = _call(native.update, batch)
        acting[f"native Q-values ({variant})"] = _call(native.q_values, observations)
    if not arguments.no_mixed:
        mixed = make_learner(arguments.num_actions, "mixed_bfloat16")
        programs["Learner.update, mixed_bfloat16"] = lambda: mixed.update(batch)
        acting["Learner.q_values, mixed_bfloat16"] = lambda: mixed.q_values(
            observations
        )
    return programs, acting


def _call(function, argument):
    return lambda: function(argument)


def measure(programs, arguments, calls_for_k):
    """Times programs in turns. Returns their seconds per update or per call."""
    first = {name: timing.timed(program)[0] for name, program in programs.items()}
    repeats = arguments.repeats
    seconds = timing.interleave(programs, arguments.rounds, repeats, warmup=2)
    for name in seconds:
        if "update_many" in name:
            seconds[name] = seconds[name] / calls_for_k
    return first, seconds


def report(title, first, seconds):
    """Prints times and ratios to the fastest native program of each round."""
    natives = [values for name, values in seconds.items() if name.startswith("native")]
    best = min(natives, key=np.median)
    rows, figures = [], {}
    for name, values in seconds.items():
        times, ratios = timing.summarize(values), timing.ratio(values, best)
        rows.append((name, times.text(1e3), ratios.text(), f"{first[name]:.1f}"))
        figures[name] = {"seconds": times, "ratio_to_best_native": ratios}
    columns = ("program", "ms (quartiles)", "ratio to best native", "first call, s")
    timing.print_table(title, columns, rows)
    return figures


def main():
    arguments = parse_arguments()
    description = machine.describe()
    machine.print_description(description)
    print(f"backend {keras.config.backend()}, device {device_name()}")
    found = check_agreement(arguments.num_actions, arguments.variants)
    updates, acting = make_programs(arguments)
    size = arguments.batch_size
    measured = measure(updates, arguments, arguments.minibatches)
    title = f"One double-Q update, dueling CNN, batch {size}"
    figures = report(title, *measured)
    title = f"Q-values of {arguments.num_envs} observations"
    figures |= report(title, *measure(acting, arguments, 1))
    result = {
        "machine": description,
        "backend": keras.config.backend(),
        "device": device_name(),
        "differences": found,
        "figures": figures,
    }
    timing.write_json(arguments.json, result)


if __name__ == "__main__":
    main()
