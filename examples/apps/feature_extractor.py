"""Fine-tunes the body of a trained network for another task on the same frames.

    python examples/apps/feature_extractor.py

The convolutions of the pretrained Breakout network stay as they are. A new head learns
with `model.fit` where ball and paddle are, in pixels of the screen. The labels come
from the emulator's RAM. Training and validation are different games. The constant
guess, the mean position, is what has to be beaten.
"""

import argparse

import keras
import numpy as np
from game_loop import Game  # the program next to this one

import keras_dqn

BALL_X, BALL_Y, PADDLE_X = 99, 101, 72  # addresses in the RAM of Breakout
NAMES = ("ball x", "ball y", "paddle x")


def play(policy, count, seed):
    """Plays and returns `count` observations, and positions `(count, 3)`."""
    game = Game(seed)
    observation = game.reset()
    observations, positions = [], []
    while len(positions) < count:
        observation, is_over = game.step(policy(observation))
        ram = game.ale.getRAM()
        if ram[BALL_Y] > 0:  # the ball is on the screen
            observations.append(observation)
            positions.append(ram[[BALL_X, BALL_Y, PADDLE_X]])
        if is_over:
            observation = game.reset()
    return np.stack(observations), np.float32(positions)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=4_000, help="for training")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(argv)
    network = keras_dqn.pretrained.load("breakout")
    policy = keras_dqn.Policy(network, epsilon=0.3, seed=0)
    frames, positions = play(policy, args.frames, seed=1)
    new_frames, new_positions = play(policy, args.frames // 4, seed=2)

    body = keras.Model(network.input, network.get_layer("flatten").output)
    mean = positions.mean(axis=0)
    keras.utils.set_random_seed(0)
    head = keras.Sequential(
        [
            keras.Input(body.output_shape[1:]),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(len(NAMES)),
            keras.layers.Rescaling(50.0, offset=mean),
        ]
    )
    head.compile(keras.optimizers.Adam(1e-3), loss="mae")
    features = body.predict(frames, verbose=0)  # once: the body does not change
    validation = (body.predict(new_frames, verbose=0), new_positions)
    head.fit(features, positions, 64, args.epochs, 2, validation_data=validation)

    model = keras.Model(body.input, head(body.output))  # from frames to positions
    errors = np.abs(model.predict(new_frames, verbose=0) - new_positions).mean(axis=0)
    guesses = np.abs(mean - new_positions).mean(axis=0)
    for name, error, guess in zip(NAMES, errors, guesses, strict=True):
        print(f"{name}: off by {error:.1f} pixels, a constant guess by {guess:.1f}")
    return errors, guesses


if __name__ == "__main__":
    main()
