"""The experiments: what is trained, with which flags and seeds.

Every run is one of `keras-dqn train`; `train.py` gives it these flags.
"""

import dataclasses

BACKENDS = ("tensorflow", "jax", "torch")
# bfloat16 and eight gradient steps in a dispatch: faster where the processor has
# bfloat16; the loss stays float32.
FAST = "--dtype-policy mixed_bfloat16 --updates-per-dispatch 8"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Runs that differ in the seed and the backend alone.

    Attributes:
        title: What the pictures and tables call it.
        flags: Of `keras-dqn train`.
        seeds: Those that are wanted.
        backends: Those that are wanted.
        episodes: Whole games of the final network.
        epsilons: Probability of a random action in them, one evaluation for each.
        is_dueling: Whether the network is that of the command. Otherwise it is that
            of `plain.py`, which is not dueling.
    """

    title: str
    flags: str
    seeds: tuple[int, ...] = (1, 2, 3)
    backends: tuple[str, ...] = ("tensorflow",)
    episodes: int = 100
    epsilons: tuple[float, ...] = (0.05,)
    is_dueling: bool = True


SMALL = ("cartpole", "acrobot", "catch")  # those drawn side by side

EXPERIMENTS = {
    "cartpole": Experiment(
        "CartPole-v1",
        "--preset cartpole --env-steps 60k --log-interval-iterations 1",
        backends=BACKENDS,
        epsilons=(0.0,),
    ),
    "acrobot": Experiment(
        "Acrobot-v1",
        "--preset cartpole --env Acrobot-v1 --env-steps 100k --stop-at-score -90 "
        "--evaluation-epsilon 0.01 --learning-rate 6.3e-4 --log-interval-iterations 1",
        backends=BACKENDS,
        epsilons=(0.01,),
    ),
    "catch": Experiment(
        "Catch (36 x 36 pixels)",
        "--preset cartpole --env catch:Catch-v0 --env-steps 20k --stop-at-score none "
        "--evaluation-interval-iterations none --learning-rate 5e-4 "
        "--updates-per-iteration 64 --batch-size 32 --hidden-units 64 "
        "--epsilon-endpoints 0:1,4000:0.05 --epsilon-final 0.05 "
        "--replay-capacity 10k --target-sync-env-steps 512 "
        "--log-interval-iterations 1",
        backends=BACKENDS,
        epsilons=(0.0,),
    ),
    "breakout-atari": Experiment(
        "Breakout, preset atari",
        f"--preset atari --env Breakout --env-steps 1M {FAST}",
        epsilons=(0.05, 0.01),
    ),
    "breakout-reference": Experiment(
        "Breakout, preset breakout (the reference implementation's)",
        f"--preset breakout --env-steps 1M {FAST}",
        seeds=(1,),
        epsilons=(0.05, 0.01),
    ),
    "pong": Experiment(
        "Pong, preset atari with 3-step returns",
        "--preset atari --env Pong --env-steps 500k --n-steps 3 "
        "--updates-per-dispatch 8",
        seeds=(1,),
        backends=("jax",),
        epsilons=(0.05, 0.01),
    ),
}

# Each has one part less or more than the first. Epsilon falls within a fifth of the
# run, so that it does not hide how fast the network learns.
_ABLATION = (
    "--preset cartpole --env catch:Catch12-v0 --env-steps 20k --stop-at-score none "
    "--evaluation-interval-iterations none --learning-rate 5e-4 "
    "--updates-per-iteration 64 --batch-size 32 --hidden-units 64 "
    "--epsilon-endpoints 0:1,4000:0.05 --epsilon-final 0.05 "
    "--replay-capacity 20k --target-sync-env-steps 512 --log-interval-iterations 1"
)


def _ablation(title, flags="", **values):
    return Experiment(
        title,
        f"{_ABLATION} {flags}".strip(),
        seeds=(1, 2, 3, 4, 5),
        backends=("jax",),
        epsilons=(0.0,),
        **values,
    )


ABLATIONS = {
    "ablations/base": _ablation("base"),
    "ablations/uniform": _ablation("uniform replay", "--replay-kind uniform"),
    "ablations/single-q": _ablation("no double Q-learning", "--no-double-q"),
    "ablations/plain-head": _ablation("no dueling", is_dueling=False),
    "ablations/n-step-3": _ablation("3-step returns", "--n-steps 3"),
    "ablations/dispatch-8": _ablation(
        "8 updates in a dispatch", "--updates-per-dispatch 8"
    ),
    "ablations/bfloat16": _ablation("mixed_bfloat16", "--dtype-policy mixed_bfloat16"),
    "ablations/replay-2k": _ablation("replay of 2,000", "--replay-capacity 2k"),
}
