"""Flags, their text and their exit codes."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keras_dqn import presets
from keras_dqn.cli import options
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from tests import runs

pytestmark = pytest.mark.numpy

WRONG_USAGE, WRONG_VALUE = 64, 78


def parsed(*argv, preset="breakout"):
    """The settings of a program with the flags of `Settings` and `--preset`."""
    parser = options.Parser(prog="program", add_help=False)
    options.add_preset(parser, preset)
    options.add_settings(parser)
    namespace = parser.parse_args(argv)
    preset = getattr(namespace, "preset", preset)
    return options.settings_of(parser, namespace, preset)


@pytest.fixture
def exits(capsys):
    """Returns a function that gives the exit code and message for some flags."""

    def run(*argv):
        with pytest.raises(SystemExit) as caught:
            parsed(*argv)
        return caught.value.code, capsys.readouterr().err

    return run


def test_no_flags_give_the_preset():
    assert parsed() == presets.breakout()
    assert parsed(preset="cartpole") == presets.cartpole()


def test_every_field_has_a_flag_of_its_own():
    flags = [options.flag(name) for name in FIELDS]
    assert len(set(flags)) == len(FIELDS)
    assert options.flag("env_id") == "--env"
    assert options.flag("updates_per_dispatch") == "--updates-per-dispatch"


@pytest.mark.parametrize(
    "argv, changes",
    [
        ("--env Pong", {"env_id": "Pong"}),
        ("--num-envs 16", {"num_envs": 16}),
        ("--replay-capacity 32768", {"replay_capacity": 32_768}),
        ("--seed 0", {"seed": 0}),
        ("--updates-per-dispatch=8", {"updates_per_dispatch": 8}),
        ("--gamma 1", {"gamma": 1.0}),
        ("--learning-rate 2.5e-4", {"learning_rate": 0.00025}),
        ("--clipnorm none", {"clipnorm": None}),
        ("--clipnorm None", {"clipnorm": None}),
        ("--life-loss terminal", {"life_loss": "terminal"}),
        ("--clip-rewards", {"clip_rewards": True}),
        ("--no-double-q", {"double_q": False}),
        ("--jit-compile yes", {"jit_compile": True}),
        ("--jit-compile no", {"jit_compile": False}),
        ("--jit-compile True", {"jit_compile": True}),
        ("--jit-compile false", {"jit_compile": False}),
        ("--jit-compile auto", {}),
        ("--no-double-q --double-q", {}),
        ("--seed 1 --seed 2", {"seed": 2}),
        ("--epsilon-endpoints none", {"epsilon_endpoints": ()}),
        (
            "--epsilon-endpoints 0:1,10k:.1,2M:0.01",
            {"epsilon_endpoints": ((0, 1.0), (10_000, 0.1), (2_000_000, 0.01))},
        ),
    ],
)
def test_a_flag_changes_its_field(argv, changes):
    assert parsed(*argv.split()) == Settings(**changes)


def test_the_schedules_of_a_preset_follow_the_env_steps_flag():
    assert parsed("--env-steps", "1M") == presets.breakout(env_steps=1_000_000)


@pytest.mark.parametrize(
    "text, value",
    [
        ("1000000", 1_000_000),
        ("1_000_000", 1_000_000),
        ("1e6", 1_000_000),
        ("1.5e6", 1_500_000),
        ("10M", 10_000_000),
        ("0.5M", 500_000),
        ("64k", 64_000),
        ("64K", 64_000),
        ("1G", 1_000_000_000),
        ("+5", 5),
        ("40.0", 40),
        ("9007199254740993", 2**53 + 1),  # not a float
        ("1.5", 1.5),
        ("1e-4", 0.0001),
        ("-3", -3),
    ],
)
def test_numbers_are_read_exactly(text, value):
    result = options.value_from_text("env_steps", text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "text",
    ["", " ", "ten", "1 000", "1,000", "1m", "M", "1e", "e6", "0x10", "1e999", "inf"]
    + ["nan", "--5", "1.2.3", "1e99999", "٣", "_1", "none", "1kk", "2**14"],
)
def test_text_that_is_no_number_is_a_wrong_value(text, exits):
    code, message = exits(f"--env-steps={text}")
    assert code == WRONG_VALUE
    assert "`env_steps` must be an integer from 1 to 2**63 - 1." in message
    assert f"Received: env_steps={text!r}" in message


@hypothesis_settings(deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"[+-]?[0-9.]{0,4}e?-?[0-9]{0,5}[kMG]?"))
def test_any_text_is_read_or_left_alone(text):
    for name in FIELDS:
        options.value_from_text(name, text)


@pytest.mark.parametrize(
    "argv, words",
    [
        ("--gamma 1.5", "`gamma` must be a number from 0 to 1. Received: gamma=1.5"),
        ("--gamma=-1", "Received: gamma=-1"),
        ("--num-envs 0", "`num_envs` must be an integer from 1"),
        ("--num-envs 1.5", "Received: num_envs=1.5"),
        ("--env-steps none", "Received: env_steps='none'"),
        ("--life-loss never", "`life_loss` must be one of 'reset'"),
        ("--env=", "`env_id` must be a printable"),
        ("--batch-size 1M", "`batch_size` must be <= `replay_capacity`"),
        ("--replay-capacity 100", "must be a multiple of `num_envs`"),
        ("--env-steps 1k", "This run would never train"),
        ("--epsilon-endpoints 0:1,5", "Received: epsilon_endpoints='0:1,5'"),
        ("--epsilon-endpoints 0:x,5:0", "Received: epsilon_endpoints=((0, 'x')"),
        ("--preset pong", "`preset` must be one of 'breakout', 'atari', 'cartpole'"),
        ("--preset=", "`preset` must be one of 'breakout', 'atari', 'cartpole'"),
    ],
)
def test_a_value_that_no_run_can_use_exits_78_with_a_short_message(argv, words, exits):
    code, message = exits(*argv.split())
    assert code == WRONG_VALUE
    assert words in message
    assert message.startswith("program: ")
    assert 1 <= len(message.splitlines()) <= 2


def test_the_message_points_to_the_flag(exits):
    assert "See --env in `program --help`." in exits("--env=")[1]


@pytest.mark.parametrize(
    "argv, words",
    [
        ("--gama 0.5", "unknown flag --gama. Did you mean `--gamma`?"),
        ("--env_steps=5", "unknown flag --env_steps. Did you mean `--env-steps`?"),
        ("--learning-starts 5", "Did you mean `--learning-starts-env-steps`?"),
        ("--zzzzzz", "unknown flag --zzzzzz\n"),
        ("--gamm 0.5", "unknown flag --gamm. Did you mean `--gamma`?"),
        ("--pre cartpole", "unknown flag --pre. Did you mean `--preset`?"),
        ("Breakout", "unexpected argument 'Breakout'"),
        ("--gamma", "argument --gamma: expected one argument"),
        ("--preset", "argument --preset: expected one argument"),
        ("--clip-rewards=yes", "--clip-rewards"),
    ],
)
def test_wrong_usage_exits_64_with_a_short_message(argv, words, exits):
    code, message = exits(*argv.split())
    assert code == WRONG_USAGE
    assert words in message
    assert message.startswith("program: ")
    assert 1 <= len(message.splitlines()) <= 2


def test_a_preset_that_is_named_gives_the_defaults():
    settings = parsed("--preset", "cartpole", "--seed", "1")
    assert settings == presets.cartpole(seed=1)
    assert parsed("--preset=cartpole") == presets.cartpole()


def test_changes_to_a_preset_come_before_those_of_the_command_line():
    parser = options.Parser(prog="program", add_help=False)
    options.add_settings(parser)
    namespace = parser.parse_args(["--seed", "3"])
    changes = {"cartpole": {"seed": 2, "gamma": 0.5}}
    for preset, expected in (
        ("cartpole", presets.cartpole(seed=3, gamma=0.5)),
        ("breakout", presets.breakout(seed=3)),
    ):
        assert options.settings_of(parser, namespace, preset, changes) == expected


def test_settings_can_be_the_start_too():
    settings = presets.breakout(seed=5)
    parser = options.Parser(prog="program", add_help=False)
    options.add_settings(parser)
    namespace = parser.parse_args(["--gamma", "0.5"])
    changed = options.settings_of(parser, namespace, settings.replace)
    assert changed == settings.replace(gamma=0.5)


def test_options_of_the_program_are_no_settings():
    parser = options.Parser(prog="program", add_help=False)
    parser.add_argument("--out")
    options.add_settings(parser)
    namespace = parser.parse_args(["--out", "runs/1", "--seed", "3"])
    settings = options.settings_of(parser, namespace, "breakout")
    assert settings == presets.breakout(seed=3)
    assert namespace.out == "runs/1"


def test_a_subcommand_has_the_flags_and_names_near_misses(capsys):
    parser = options.Parser(prog="program")
    train = parser.add_subparsers().add_parser("train", add_help=False)
    options.add_settings(train)
    namespace = parser.parse_args(["train", "--seed", "3"])
    settings = options.settings_of(train, namespace, "breakout")
    assert settings == presets.breakout(seed=3)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["train", "--sead", "3"])
    assert caught.value.code == WRONG_USAGE
    assert "program train: unknown flag --sead. Did you mean `--seed`?" in (
        capsys.readouterr().err
    )


def help_text(capsys, *argv):
    with pytest.raises(SystemExit) as caught:
        parsed(*argv)
    assert caught.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_shows_each_flag_with_its_default_and_unit(capsys):
    text = help_text(capsys, "--help")
    for name, field in FIELDS.items():
        assert options.flag(name) in text
        assert " ".join(field.metadata["help"].split()) in text
    assert "length of the run (default: 40_000_000 agent steps)" in text
    assert "(default: 16_384 transitions)" in text
    assert "(default: none, when the replay is full)" in text
    assert "(default: 0:1,1_000_000:0.1,20_000_000:0.01)" in text


def test_help_shows_the_defaults_of_the_preset_that_is_named(capsys):
    for flags in ("--preset cartpole --help", "-h --preset cartpole"):
        assert "(default: CartPole-v1)" in help_text(capsys, *flags.split())


def test_each_setting_can_be_written_as_a_flag_and_read_back():
    settings = presets.cartpole(
        clip_rewards=True, double_q=False, clipnorm=None, jit_compile=False, seed=123
    )
    argv = []
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), options.flag(field.name)
        if field.metadata["kind"] == "choice" and value is False:
            argv += [name, "no"]
        elif isinstance(value, bool):
            argv.append(name if value else name.replace("--", "--no-", 1))
        elif isinstance(value, tuple):
            argv += [name, ",".join(f"{x}:{y}" for x, y in value)]
        else:
            argv += [name, str(value)]
    assert parsed(*argv) == settings


@pytest.mark.parametrize("words", [("resume",), ("train", "--resume")])
def test_help_of_a_resume_needs_no_run(words, capsys):
    assert runs.command(*words, "--help") == 0
    assert "--env-steps" in capsys.readouterr().out
    assert runs.command(*words) == 64
    assert "Name the run to continue" in capsys.readouterr().err
