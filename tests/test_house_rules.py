"""The rules of CONVENTIONS.md that a machine can check, each shown to find what it forbids."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "gaitdynamics"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# A module imports from a lower level or its own folder; folders of one level do not import each other, but for
# the lowest and for __main__, which is how apps are started.
LEVELS = (
    {"__init__", "errors", "units"},
    {"maths"},
    {"types"},
    {"io", "biomech"},
    {"state"},
    {"model"},
    {"tasks"},
    {"training"},
    {"apps", "__main__"},
)
LEVEL_OF = {folder: number for number, folders in enumerate(LEVELS) for folder in folders}
HEAVY = ("torch", "opensim", "scipy", "matplotlib")
GENERATORS = {"default_rng", "Generator", "SeedSequence", "PCG64", "BitGenerator"}
TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported from the package, at the top or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "gaitdynamics")
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level + (node.module or "")
            elif node.module is not None and node.module.split(".")[0] == "gaitdynamics":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL_OF else "__init__"


def upward_imports(importer: str, tree: ast.AST) -> list[str]:
    if importer == "gaitdynamics.__main__":
        return []
    own = folder_of(importer)
    found = []
    for name in imported_names(tree):
        if name.startswith("."):
            found.append(f"{importer} imports {name}: relative")
            continue
        other = folder_of(name)
        if other != own and LEVEL_OF[other] >= max(LEVEL_OF[own], 1):
            found.append(f"{importer} imports {name}")
    return found


def cycle_in(imports: dict[str, set[str]]) -> list[str] | None:
    """A path of modules that ends where it began."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str] | None:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return None
        done.add(module)
        for other in sorted(imports.get(module, ())):
            if (found := visit(other, [*path, module])) is not None:
                return found
        return None

    return next((found for module in sorted(imports) if (found := visit(module, [])) is not None), None)


def prints(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def asserts(tree: ast.AST) -> list[int]:
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def false_instead_of_an_error(tree: ast.AST) -> list[int]:
    """`return False` in a function that is not declared to answer yes or no."""
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(function.returns, ast.Name) and function.returns.id == "bool":
            continue
        found += [
            node.lineno
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant) and node.value.value is False
        ]
    return found


def global_randomness(tree: ast.AST) -> list[int]:
    """Draws from, or seeds, a generator that nobody handed over."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
            found.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and (
            node.module == "random"
            or (node.module == "numpy.random" and any(alias.name not in GENERATORS for alias in node.names))
        ):
            found.append(node.lineno)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        has_arguments = bool(node.args or node.keywords)
        place, _, name = called.rpartition(".")
        if place in ("np.random", "numpy.random") and (name not in GENERATORS or not has_arguments):
            found.append(node.lineno)
        if called in ("default_rng", "torch.manual_seed", "torch.seed", "torch.cuda.manual_seed_all") and not (
            called == "default_rng" and has_arguments
        ):
            found.append(node.lineno)
        if called in {f"torch.{name}" for name in TORCH_DRAWS} and "generator" not in {k.arg for k in node.keywords}:
            found.append(node.lineno)
    return found


Rule = Callable[[ast.AST], list[int]]

BROKEN: list[tuple[Rule, str]] = [
    (prints, "def f(x):\n    print(x)\n"),
    (asserts, "def f(x):\n    assert x > 0\n"),
    (false_instead_of_an_error, "def read(path) -> dict:\n    if not path:\n        return False\n"),
    (global_randomness, "import numpy as np\nx = np.random.normal(size=3)\n"),
    (global_randomness, "import numpy as np\nnp.random.seed(0)\n"),
    (global_randomness, "import numpy as np\nrandom = np.random.default_rng()\n"),
    (global_randomness, "from numpy.random import rand\n"),
    (global_randomness, "import random\n"),
    (global_randomness, "import torch\ntorch.manual_seed(0)\n"),
    (global_randomness, "import torch\nx = torch.randn(3)\n"),
]
KEPT: list[tuple[Rule, str]] = [
    (false_instead_of_an_error, "def is_good(x) -> bool:\n    return False\n"),
    (global_randomness, "import numpy as np\nx = np.random.default_rng(seed).normal(size=3)\n"),
    (global_randomness, "import torch\nx = torch.randn(3, generator=generator)\n"),
    (global_randomness, "from numpy.random import Generator\n"),
]


@pytest.mark.parametrize(("rule", "source"), BROKEN)
def test_a_rule_finds_what_it_forbids(rule: Rule, source: str) -> None:
    assert rule(ast.parse(source))


@pytest.mark.parametrize(("rule", "source"), KEPT)
def test_a_rule_leaves_what_it_allows(rule: Rule, source: str) -> None:
    assert rule(ast.parse(source)) == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("gaitdynamics.maths.signals", "from gaitdynamics.types.motion import Motion"),
        ("gaitdynamics.io.osim", "from gaitdynamics.biomech.contact import Contact"),
        ("gaitdynamics.biomech.contact", "import gaitdynamics.io.osim"),
        ("gaitdynamics.types.motion", "def f():\n    from gaitdynamics.tasks import estimate_forces"),
        ("gaitdynamics.errors", "from gaitdynamics.maths.signals import smooth"),
        ("gaitdynamics.io.table", "from . import files"),
        ("gaitdynamics.tasks.estimate_forces", "from gaitdynamics.training import corpus"),
    ],
)
def test_an_import_against_the_layers_is_found(importer: str, source: str) -> None:
    assert len(upward_imports(importer, ast.parse(source))) == 1


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("gaitdynamics.io.osim", "from gaitdynamics.types.skeleton import Skeleton"),
        ("gaitdynamics.io.osim", "from gaitdynamics.io.table import Table"),
        ("gaitdynamics.tasks.estimate_forces", "from gaitdynamics import __version__"),
        ("gaitdynamics.apps.cli", "from gaitdynamics.io.osim import read_model"),
    ],
)
def test_an_import_down_the_layers_is_allowed(importer: str, source: str) -> None:
    assert upward_imports(importer, ast.parse(source)) == []


def test_a_cycle_is_found() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_every_folder_has_its_level() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    assert folders | modules <= set(LEVEL_OF)


def test_imports_point_one_way_down_the_layers() -> None:
    found = [line for path in SOURCES for line in upward_imports(module_name(path), parsed(path))]
    assert found == []


def test_there_are_no_import_cycles() -> None:
    modules = {module_name(path) for path in SOURCES}
    imports = {}
    for path in SOURCES:
        names = set(imported_names(parsed(path)))
        targets = {name if name in modules else name.rpartition(".")[0] for name in names}
        imports[module_name(path)] = targets & modules
    assert sum(len(targets) for targets in imports.values()) > 20
    assert cycle_in(imports) is None


@pytest.mark.parametrize("rule", [prints, asserts, false_instead_of_an_error, global_randomness])
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    sources = [p for p in SOURCES if rule is not prints or "apps" not in p.relative_to(PACKAGE).parts]
    assert len(sources) > 15
    found = [f"{path.relative_to(PACKAGE)}:{line}" for path in sources for line in rule(parsed(path))]
    assert found == []


def test_no_file_is_named_for_nothing_in_particular() -> None:
    vague = ("util", "helper", "common", "misc")
    assert [path for path in SOURCES if any(word in path.stem for word in vague)] == []


def loaded_by(statement: str, folder: Path) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    """Modules in a fresh interpreter after a statement."""
    script = f"{statement}\nimport sys, json\nsys.stderr.write(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stderr)), run


@pytest.mark.parametrize("module", ["gaitdynamics", "gaitdynamics.apps.cli", "gaitdynamics.io.motion"])
def test_importing_the_command_line_or_a_reader_loads_nothing_heavy(module: str, tmp_path: Path) -> None:
    loaded, _ = loaded_by(f"import {module}", tmp_path)
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)


def test_importing_every_module_prints_nothing_writes_nothing_and_asks_nothing(tmp_path: Path) -> None:
    names = sorted(module_name(path) for path in SOURCES)
    threads = "import torch\nbefore = torch.get_num_threads(), torch.initial_seed(), torch.get_default_dtype()"
    after = "assert before == (torch.get_num_threads(), torch.initial_seed(), torch.get_default_dtype())"
    statement = "\n".join([threads, *(f"import {name}" for name in names), after])
    loaded, run = loaded_by(statement, tmp_path)
    assert set(names) <= loaded
    assert "opensim" not in loaded  # a second to load, and only readers of models need it
    assert run.stdout == ""
    assert list(tmp_path.iterdir()) == []
