"""Times a prioritized replay: draw a minibatch of 32, write its priorities back.

At several capacities, for one minibatch at a time and for several at once, and the
adding of 8 transitions.
`--peer cpprb` runs cpprb's best configuration (`next_of` and `stack_compress`,
written in C++) in turns with it, in its own environment.

    python benchmarks/replay_speed.py --peer cpprb --plot replay_speed.png
"""

import argparse
import contextlib
import gc
import json
import time

import children
import machine
import numpy as np
import timing
import transitions

from keras_dqn.replay import PrioritizedReplay

WARMUP = 3000
CPPRB = ["cpprb==11.0.0", "numpy==2.4.6"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--capacities",
        type=int,
        nargs="+",
        metavar="LOG2",
        default=[14, 16, 17, 18, 20],
        help="exponents of 2, with frames of 84 x 84 (2**20 take 7.5 GB, twice with "
        "a peer)",
    )
    parser.add_argument(
        "--tiny-capacities",
        type=int,
        nargs="*",
        metavar="LOG2",
        default=[14, 16, 18, 20, 22],
        help="exponents of 2, with frames of 4 x 4, which leave only the trees' time",
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--minibatches", type=int, default=8, help="K drawn at once")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=200, help="per round")
    parser.add_argument("--peer", choices=("none", "cpprb"), default="none")
    parser.add_argument("--cache", help="folder for the peer's environment")
    parser.add_argument("--plot", help="draw cost against capacity (needs matplotlib)")
    parser.add_argument("--quick", action="store_true", help="seconds: does it run?")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.capacities, arguments.tiny_capacities = [10], [10, 12]
        arguments.rounds, arguments.repeats = 3, 5
    return arguments


class Ours:
    """A full `PrioritizedReplay`, and what is timed of it."""

    def __init__(self, capacity, frame_shape, batch_size, minibatches):
        self._rng = np.random.default_rng(0)
        self._source = transitions.Noise(frame_shape=frame_shape)
        self._replay = PrioritizedReplay(capacity)
        self._batch_size, self._minibatches = batch_size, minibatches
        transitions.build(self._replay, self._source)
        transitions.fill(self._replay, self._source, self._rng)
        shape = (minibatches, batch_size)
        self._td_errors = np.abs(self._rng.normal(size=shape))
        # Leave the equal priorities of the beginning, and touch memory everywhere.
        for _ in range(WARMUP):
            self.draw()
        self._actions = transitions.random_actions(self._source, self._rng)

    def draw(self):
        """One minibatch."""
        sample = self._replay.sample(self._batch_size, self._rng, beta=0.4)
        self._replay.update_priorities(sample.ids, self._td_errors[0])

    def draw_many(self):
        """Several minibatches at once."""
        sample = self._replay.sample(
            self._batch_size, self._rng, beta=0.4, batches=self._minibatches
        )
        self._replay.update_priorities(sample.ids, self._td_errors)

    def time_draws(self, repeats):
        """Returns seconds per minibatch, one at a time."""
        return _repeat(self.draw, repeats)

    def time_draws_at_once(self, repeats):
        """Returns seconds per minibatch, several at once."""
        return _repeat(self.draw_many, repeats) / self._minibatches

    def time_adds(self, count=64):
        """Returns seconds per step of 8 transitions, each of them just made."""
        self._replay.start(self._source.reset())
        seconds = 0.0
        for _ in range(count):
            step = self._source.step(None)
            started = time.perf_counter()
            self._replay.add(self._actions, step)
            seconds += time.perf_counter() - started
        return seconds / count


def _repeat(function, repeats):
    def call():
        for _ in range(repeats):
            function()

    return timing.timed(call)[0] / repeats


def measure(capacity, frame_shape, arguments, peer):
    """Times both replays in turns. Returns lists of seconds by name."""
    ours = Ours(capacity, frame_shape, arguments.batch_size, arguments.minibatches)
    if peer is not None:
        peer.ask(
            "fill",
            capacity=capacity,
            frame_shape=frame_shape,
            batch_size=arguments.batch_size,
        )
    several = f"K={arguments.minibatches}"
    at_once = max(1, arguments.repeats // arguments.minibatches)
    programs = {
        "keras_dqn, K=1": lambda: ours.time_draws(arguments.repeats),
        f"keras_dqn, {several}": lambda: ours.time_draws_at_once(at_once),
        "keras_dqn, add 8": ours.time_adds,
    }
    if peer is not None:
        programs["cpprb"] = lambda: peer.ask("draw", repeats=arguments.repeats)["s"]
        programs["cpprb, add 8"] = lambda: peer.ask("add")["s"]
    seconds = {name: [] for name in programs}
    for i in range(arguments.rounds):
        for name in list(programs)[:: 1 if i % 2 == 0 else -1]:
            seconds[name].append(programs[name]())
    return seconds


def report(frame_shape, exponents, arguments, peer):
    """Measures one size of frame at all capacities; prints and returns it."""
    rows, figures = [], {}
    for exponent in exponents:
        seconds = measure(2**exponent, frame_shape, arguments, peer)
        gc.collect()
        figures[exponent] = each = {}
        for name, values in seconds.items():
            each[name] = {"seconds": timing.summarize(values)}
            other = "cpprb, add 8" if "add" in name else "cpprb"
            ratio = "-"
            if other in seconds and other != name:
                each[name]["ratio"] = timing.ratio(values, seconds[other])
                ratio = each[name]["ratio"].text()
            times = each[name]["seconds"].text(1e6, 1)
            rows.append((f"2^{exponent}", name, times, ratio))
    size = " x ".join(map(str, frame_shape))
    title = f"Draw {arguments.batch_size} and write back, 4 frames of {size}"
    columns = ("capacity", "program", "us per minibatch (quartiles)", "ratio to cpprb")
    timing.print_table(title, columns, rows)
    return figures


def main():
    arguments = parse_arguments()
    description = machine.describe(("keras_dqn", "numpy"))
    machine.print_description(description)
    with contextlib.ExitStack() as stack:
        peer = None
        if arguments.peer == "cpprb":
            python = children.environment("cpprb", CPPRB, arguments.cache)
            peer = stack.enter_context(children.Child("replay_cpprb.py", python))
            print("peer:", json.dumps(peer.ask("versions")))
        figures = {}
        for frame_shape, exponents in (
            ((84, 84), arguments.capacities),
            ((4, 4), arguments.tiny_capacities),
        ):
            if exponents:
                title = f"frames of {frame_shape[0]} x {frame_shape[1]}"
                figures[title] = report(frame_shape, exponents, arguments, peer)
    timing.write_json(arguments.json, {"machine": description, "figures": figures})
    if arguments.plot:
        import plots  # only here: it needs matplotlib

        plots.save(plots.replay_lines(figures), arguments.plot)
        print(f"Wrote {arguments.plot}")


if __name__ == "__main__":
    main()
