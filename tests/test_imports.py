"""What may import what, and what an import may do: the rules of the layers.

Most of it is a walk over the syntax trees, which sees imports inside functions
too. The rest asks a child process, since this one has imported everything.
"""

import ast
import json
import pathlib
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.numpy

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keras_dqn"
FRAMEWORKS = ("tensorflow", "jax", "torch")

# From the top down. A module imports from lower layers and from its own package
# (`envs.atari` from `envs.step`), and from nothing else of keras_dqn.
LAYERS = {
    "command": ("__main__",),
    "doors": ("cli",),
    "shown": ("report",),
    "run": ("runs",),
    "whole": ("agent",),
    "saved": ("saved_agent",),
    "parts": (
        "training",
        "used_settings",
        "protocols",
        "checkpoint",
        "exporting",
        "monitor",
        "player",
        "pretrained",
        "video",
    ),
    "trained": ("algorithms", "policy"),
    "compiled": ("backend",),
    "presets": ("presets",),
    "settings": ("config", "evaluation", "run_state"),
    "chosen": ("choices",),
    "ground": (
        "envs",
        "exploration",
        "models",
        "papers",
        "progress",
        "replay",
        "schedules",
        "statistics",
    ),
    "bottom": ("checks", "interfaces", "system"),
}
# Everything else needs no Keras, and an environment without it tests it.
NEED_KERAS = {
    "agent",
    "algorithms",
    "backend",
    "exporting",
    "models",
    "monitor/keras_callbacks",
    "player",
    "policy",
    "pretrained",
    "runs/parts",
    "saved_agent",
    "used_settings",
    "video/streams",
}
# Commands import Keras inside the function that trains or plays.
COMMANDS = tuple(
    f"cli/{name}"
    for name in "train evaluate export record play playing info loading".split()
)
PUBLIC_NAMES = {
    "DQNAgent",
    "DQN",
    "Learner",
    "MinTree",
    "PiecewiseSchedule",
    "Policy",
    "PrioritizedReplay",
    "SumTree",
    "UniformReplay",
    "envs",
    "interfaces",
    "load_network",
    "make_envs",
    "models",
    "presets",
    "replay",
    "schedules",
}


def name_of(path):
    """`agent`, `runs/run`, `backend` for `backend/__init__.py`; "" for the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "/".join(part for part in parts if part != "__init__")


TREES = {
    name_of(path): ast.parse(path.read_text(), str(path))
    for path in sorted(PACKAGE.rglob("*.py"))
}
MODULES = sorted(TREES)


def imports(tree):
    """Yields `(dotted name, node)` of every import, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node


def for_annotations(tree):
    """The nodes under `if TYPE_CHECKING:`, which is never run."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and dotted(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def own_imports(tree):
    """Yields the part of keras_dqn that each import names: `agent`, `envs`, ..."""
    for dotted, node in imports(tree):
        first, *rest = dotted.split(".")
        if first == "keras_dqn" and rest:
            yield rest[0], node


def layer_of(part):
    found = [i for i, names in enumerate(LAYERS.values()) if part in names]
    assert found, f"{part} is in no layer: add it to LAYERS"
    return found[0]


def needs_keras(module):
    return module in NEED_KERAS or module.split("/")[0] in NEED_KERAS


def dotted(node):
    """The dotted name of an expression, "" for what has none."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_the_walk_sees_the_package():
    assert {"agent", "backend/jax/learner", "envs/atari", "replay", ""} <= set(MODULES)


@pytest.mark.parametrize("module", [m for m in MODULES if m])
def test_arrows_point_down(module):
    part = module.split("/")[0]
    for other, node in own_imports(TREES[module]):
        if other != part:
            assert layer_of(other) > layer_of(part), (
                f"{module}, line {node.lineno}: {part} must not import {other}"
            )


@pytest.mark.parametrize("module", [m for m in MODULES if m])
def test_only_the_version_is_taken_from_the_package_itself(module):
    tree = TREES[module]
    if any(name == "keras_dqn" for name, _ in imports(tree)):
        taken = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and dotted(node.value) == "keras_dqn"
        }
        assert taken == {"__version__"}


def test_the_package_itself_imports_no_part_before_it_is_asked_for():
    assert [name for name, _ in imports(TREES[""])] == ["importlib"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=str)
def test_examples_use_the_doors_only(path):
    for dotted_name, _ in imports(ast.parse(path.read_text())):
        first, *rest = dotted_name.split(".")
        assert first not in FRAMEWORKS
        if first == "keras_dqn":
            assert not rest or rest[0] in PUBLIC_NAMES | {"cli"}


@pytest.mark.parametrize("module", MODULES)
def test_a_framework_is_named_in_its_own_backend_only(module):
    for name, node in imports(TREES[module]):
        framework = name.split(".")[0]
        if framework in FRAMEWORKS:
            folder = f"backend/{framework}/"
            assert module.startswith(folder), f"line {node.lineno}: {name}"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_backend_imports_nothing_of_the_others(framework):
    shared = ("base", "batches", "frames", "interface", "passes", framework)
    modules = [m for m in MODULES if m.startswith(f"backend/{framework}/")]
    assert len(modules) >= 3
    for module in modules:
        for name, node in imports(TREES[module]):
            if name.startswith("keras_dqn."):
                first, second, *_ = name.split(".")[1:]
                assert first == "backend", f"{module}, line {node.lineno}: {name}"
                assert second in shared, f"{module}, line {node.lineno}: {name}"


@pytest.mark.parametrize("module", [m for m in MODULES if not needs_keras(m)])
def test_the_numpy_half_imports_no_keras(module):
    never_run = for_annotations(TREES[module])
    for name, node in imports(TREES[module]):
        if node in never_run:
            continue
        first, *rest = name.split(".")
        assert first != "keras", f"line {node.lineno}"
        if first == "keras_dqn" and rest:
            inner = "/".join(rest)
            # Inside the function that trains or plays: `--help` needs no Keras.
            late = ("runs/partial_run", *COMMANDS)
            is_late = module in late and node.col_offset > 0
            assert not needs_keras(inner) or is_late, f"line {node.lineno}: {name}"


@pytest.mark.parametrize("module", MODULES)
def test_keras_is_used_by_its_public_names_only(module):
    names = [name for name, _ in imports(TREES[module])]
    names += [dotted(node) for node in ast.walk(TREES[module])]
    assert not [name for name in names if name.startswith("keras.src")]


# Private names of other packages that are used all the same, and why.
FOREIGN_PRIVATE_NAMES = {
    # Keras's Adam shows its moments by these names only; without them its step is
    # Keras's own, which is slower.
    "backend/tensorflow/adam": {"_get_variable_index", "_momentums", "_velocities"},
    # The documented home of what torch.compile raises and counts.
    "backend/torch/network": {"_dynamo"},
    # The options that a parser knows, in one of its methods.
    "cli/parser": {"_option_string_actions"},
}
# They look private and are documented.
DOCUMENTED = {"_asdict", "_exit", "_fields", "_make", "_replace"}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def defined_names(tree):
    """Yields the names that a module gives to something of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if dotted(node.value) in ("self", "cls"):
                yield node.attr


def used_names(tree):
    """Yields the attributes that a module reads, and what it imports."""
    for name, _ in imports(tree):
        yield from name.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Call) and dotted(node.func) in (
            "getattr",
            "hasattr",
            "setattr",
        ):
            yield from (a.value for a in node.args[1:2] if isinstance(a, ast.Constant))


def foreign_private_names(tree, own_names):
    private = {name for name in used_names(tree) if is_private(name)}
    return private - own_names - DOCUMENTED


OWN_NAMES = {name for tree in TREES.values() for name in defined_names(tree)}


@pytest.mark.parametrize("module", MODULES)
def test_no_private_name_of_another_package_is_used_but_those_listed(module):
    found = foreign_private_names(TREES[module], OWN_NAMES)
    assert found == FOREIGN_PRIVATE_NAMES.get(module, set())


@pytest.mark.parametrize(
    "line",
    [
        "optimizer._momentums[0]",
        "self._layers",
        "getattr(optimizer, '_momentums')",
        "optimizer._momentums = []",
        "from keras.optimizers import _private",
        "import torch._dynamo",
    ],
)
def test_the_walk_finds_private_names_of_others(line):
    tree = ast.parse(f"self._own = 1\nself._own\n{line}")
    assert len(foreign_private_names(tree, set(defined_names(tree)))) == 1


@pytest.mark.parametrize("module", MODULES)
def test_there_is_no_assert_in_the_package(module):
    """`python -O` leaves them out."""
    lines = [n.lineno for n in ast.walk(TREES[module]) if isinstance(n, ast.Assert)]
    assert not lines


# It runs tests of the trees against trees with a fault.
TESTS_OF_TESTS = {"test_segment_tree_wrong.py"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/*.py")), ids=lambda p: p.name)
def test_a_test_module_imports_helpers_only_and_by_their_full_name(path):
    helpers = {p.stem for p in ROOT.glob("tests/*.py")}
    for name, node in imports(ast.parse(path.read_text())):
        first, _, rest = name.partition(".")
        assert first not in helpers, f"line {node.lineno}: tests.{first}"
        if path.name not in TESTS_OF_TESTS:
            is_test = first == "tests" and rest.startswith("test_")
            assert not is_test, f"line {node.lineno}: {name}"


FORBIDDEN_MODULES = {"cloudpickle", "dill", "marshal", "pickle"}
FORBIDDEN_MODULES |= {"random", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "torch.load"}
# A full disk under a memory map is a SIGBUS, which no program survives.
FORBIDDEN_CALLS |= {"np.memmap", "numpy.memmap", "np.load", "numpy.load"}
FORBIDDEN_VALUES = {"allow_pickle": True, "safe_mode": False, "shell": True}
# What `numpy.random` offers beside draws from its hidden global generator.
NUMPY_RANDOM = {"Generator", "SeedSequence", "default_rng"}


def faults(tree):
    """Yields `(line, reason)` for what runs foreign code or draws in secret."""
    for name, node in imports(tree):
        if name.split(".")[0] in FORBIDDEN_MODULES:
            yield node.lineno, f"import of {name}"
        if name.startswith("numpy.random."):
            if name.split(".")[2] not in NUMPY_RANDOM:
                yield node.lineno, f"import of {name}"
    for node in ast.walk(tree):
        name = dotted(node)
        if name.startswith(("np.random.", "numpy.random.")):
            if name.split(".")[2] not in NUMPY_RANDOM:
                yield node.lineno, name
        if isinstance(node, ast.Call) and dotted(node.func) in FORBIDDEN_CALLS:
            yield node.lineno, dotted(node.func)
        if isinstance(node, ast.keyword) and node.arg in FORBIDDEN_VALUES:
            is_plain = isinstance(node.value, ast.Constant)
            if not is_plain or node.value.value == FORBIDDEN_VALUES[node.arg]:
                yield node.value.lineno, node.arg


@pytest.mark.parametrize("module", MODULES)
def test_nothing_runs_foreign_code_or_draws_from_a_hidden_generator(module):
    assert list(faults(TREES[module])) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "torch.load(path)",
        "np.memmap(path)",
        "from yaml import load",
        "import random",
        "from numpy.random import rand",
        "eval('1')",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=anything)",
        "subprocess.run('ls', shell=True)",
        "keras.saving.load_model(path, safe_mode=False)",
        "np.random.seed(0)",
        "x = np.random.uniform()",
        "def f():\n    draw = numpy.random.choice",
    ],
)
def test_the_walk_finds_what_is_forbidden(line):
    assert list(faults(ast.parse(line)))


def test_the_public_names_are_listed_without_being_loaded():
    found = child(
        """
        import json, sys
        import keras_dqn
        print(json.dumps([dir(keras_dqn), keras_dqn.__all__, sorted(sys.modules)]))
        """
    )
    listed, exported, loaded = found
    assert set(listed) >= PUBLIC_NAMES
    assert set(exported) >= PUBLIC_NAMES
    assert [name for name in loaded if name.startswith("keras_dqn")] == ["keras_dqn"]


def test_an_unknown_name_is_an_attribute_error():
    import keras_dqn

    with pytest.raises(AttributeError, match="'keras_dqn' has no attribute 'Agent'"):
        keras_dqn.Agent  # noqa: B018


def test_importing_the_package_loads_the_package_and_nothing_else():
    added = child(
        """
        import importlib, json, sys
        before = set(sys.modules)
        import keras_dqn
        print(json.dumps(sorted(set(sys.modules) - before)))
        """
    )
    assert added == ["keras_dqn"]


def test_importing_the_replay_needs_numpy_and_nothing_else():
    added = child(
        """
        import json, sys
        import numpy
        before = set(sys.modules)
        import keras_dqn.replay
        print(json.dumps(sorted(set(sys.modules) - before)))
        """
    )
    foreign = {name.split(".")[0] for name in added} - set(sys.stdlib_module_names)
    assert foreign <= {"keras_dqn", "numpy"}


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m and not needs_keras(m) and "/" not in m]
)
def test_a_module_of_the_numpy_half_imports_where_there_is_no_framework(module):
    """Even where one is installed the child cannot import it."""
    loaded = child(
        f"""
        import importlib, json, sys
        sys.modules.update(dict.fromkeys({(*FRAMEWORKS, "keras")!r}))
        importlib.import_module("keras_dqn." + {module!r})
        print(json.dumps(sorted(name for name, m in sys.modules.items() if m)))
        """
    )
    assert f"keras_dqn.{module}" in loaded


def child(script):
    """Runs `script` in a new interpreter and returns the JSON that it prints."""
    script = textwrap.dedent(script)
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def commands():
    tree = TREES["cli/__main__"]
    (table,) = (node.value for node in tree.body if isinstance(node, ast.Assign))
    return [key.value for key in table.keys]


@pytest.mark.parametrize("command", commands())
def test_help_is_quick_since_it_imports_little(command):
    slow = ["keras", "gymnasium", "scipy", "rich", "PIL", "matplotlib", *FRAMEWORKS]
    if command in ("train", "resume"):
        slow.append("numpy")
    code = """
        import contextlib, io, sys
        from keras_dqn.cli.__main__ import main
        with contextlib.redirect_stdout(io.StringIO()) as text:
            with contextlib.suppress(SystemExit):
                main([sys.argv[1], "--help"])
        assert "usage: keras-dqn " + sys.argv[1] in text.getvalue()
        print(*sys.modules)
    """
    words = [sys.executable, "-c", textwrap.dedent(code), command]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not set(slow) & set(done.stdout.split())
