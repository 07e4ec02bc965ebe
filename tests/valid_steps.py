"""Random play in which every `Step` is checked against what `Step` promises."""

import numpy as np


def play(envs, steps, seed=0):
    """Plays random actions; asserts that whatever the environments return is valid.

    Args:
        envs: `VectorEnvs`.
        steps: Integer, how many actions each environment gets.
        seed: Integer, for the actions and the games.

    Returns:
        The list of the `Episode` records, and the number of different observations
        of environment 0.
    """
    rng = np.random.default_rng(seed)
    observations = envs.reset(seed)
    _check_observations(envs, observations)
    seen = {observations[0].tobytes()}
    episodes = []
    scores, lengths = np.zeros(envs.num_envs), np.zeros(envs.num_envs, int)
    for _ in range(steps):
        step = envs.step(rng.integers(envs.num_actions, size=envs.num_envs))
        _check(envs, step)
        scores += step.rewards
        lengths += 1
        for episode in step.episodes:
            index = episode.env_index
            np.testing.assert_allclose(episode.score, scores[index], rtol=1e-6)
            assert episode.length == lengths[index]
            scores[index] = lengths[index] = 0
        episodes += step.episodes
        seen.add(step.observations[0].tobytes())
    return episodes, len(seen)


def _check(envs, step):
    _check_observations(envs, step.observations)
    _check_observations(envs, step.final_observations)
    for rewards in (step.rewards, step.training_rewards):
        assert (rewards.shape, rewards.dtype) == ((envs.num_envs,), np.float32)
        assert np.isfinite(rewards).all()
    for flags in (step.terminated, step.truncated, step.restarted):
        assert (flags.shape, flags.dtype) == ((envs.num_envs,), bool)
    assert not (step.terminated & step.truncated).any()
    assert (step.terminated | step.truncated)[step.restarted].all()
    assert [each.env_index for each in step.episodes] == [
        *np.flatnonzero(step.restarted)
    ]
    kept = ~step.restarted
    np.testing.assert_array_equal(
        step.final_observations[kept], step.observations[kept]
    )


def _check_observations(envs, observations):
    assert observations.shape == (envs.num_envs, *envs.stored_shape)
    assert observations.dtype == envs.observation_dtype
    if observations.dtype.kind == "f":
        assert observations.dtype == np.float32
        assert np.isfinite(observations).all()
    else:
        assert observations.dtype == np.uint8
