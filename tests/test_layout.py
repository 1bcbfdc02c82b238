"""The direction of imports: every room imports only from itself and from rooms above it, and no two files import each
other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    ("errors",),
    ("versions",),
    ("cores",),
    ("progress",),
    ("config",),
    ("files",),
    ("ddp",),
    ("video",),
    ("synthesis",),
    ("datasets",),
    ("cache",),
    ("losses",),
    ("models",),
    ("batches",),
    ("evaluation",),
    ("comparison",),
    ("training",),
    ("experiment",),
    ("cross_validation",),
    ("detection",),
    ("serve",),
    ("demo",),
    ("commands",),
)
"""From the top: a room imports from its own and those above."""
BY_NAME = {"config": ("errors",)}
"""What these import, whatever stands above: the registries of config import their package by its name."""


def python_files(*folders: str) -> list[Path]:
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [file for file in files if "__pycache__" not in file.parts]


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PACKAGE = {module_name(file): file for file in python_files("lipinc")}


def imported_modules(file: Path) -> set[str]:
    """Modules of lipinc, benchmarks and tests that a file imports anywhere, in functions and for type checking too."""
    return {module for node in ast.walk(ast.parse(file.read_text())) for module in _of_statement(node, file)}


def _of_statement(node: ast.AST, file: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{file} imports relatively"
        # `from lipinc.models import checkpoint` imports the module, `from lipinc.models import LIPINC` the package.
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [name if name in PACKAGE else node.module for name in names]
    else:
        return
    yield from (name for name in names if name.partition(".")[0] in ("lipinc", "benchmarks", "tests", "configs"))


def room_of(module: str) -> str:
    """The folder or file directly below lipinc/; "lipinc" for the package itself."""
    return module.split(".")[1] if "." in module else module


IMPORTS = {module: imported_modules(file) for module, file in PACKAGE.items()}


def test_every_room_has_its_place_in_the_order():
    placed = {room for level in ROOMS for room in level}
    assert {room_of(module) for module in PACKAGE} - {"lipinc", "__main__"} == placed


@pytest.mark.parametrize("module", sorted(PACKAGE))
def test_a_module_imports_only_from_rooms_above(module):
    order = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
    room = room_of(module)
    for imported in IMPORTS[module]:
        assert imported.partition(".")[0] == "lipinc", f"{module} imports {imported}"
        other = room_of(imported)
        if other in (room, "lipinc") or room in ("lipinc", "__main__"):  # the public API and the command: on top of all
            continue
        if room in BY_NAME:
            assert other in BY_NAME[room], f"{module} imports {imported}"
        else:
            assert order[other] < order[room], f"{module} imports {imported}, which is below it"


def test_what_is_imported_exists():
    """The walker sees every import of the package, those of benchmarks and configs included."""
    for file in (*PACKAGE.values(), *python_files("benchmarks", "configs"), ROOT / "config.py"):
        for imported in imported_modules(file):
            if imported.partition(".")[0] == "lipinc":
                assert imported in PACKAGE, f"{file} imports {imported}"


def test_no_two_files_import_each_other():
    """No circle between files, however long, function-level imports included."""
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module in finished:
            return
        for imported in sorted(IMPORTS[module] - {module}):
            visit(imported, (*path, module))
        finished.add(module)

    for module in sorted(PACKAGE):
        visit(module, ())


def test_benchmarks_and_configs_import_nothing_from_tests():
    for file in (*python_files("benchmarks", "configs"), ROOT / "config.py", *PACKAGE.values()):
        for imported in imported_modules(file):
            assert imported.partition(".")[0] != "tests", f"{file} imports {imported}"


def test_configs_import_settings_and_data_sets_alone():
    """So that a config file costs no torch."""
    for file in (*python_files("configs"), ROOT / "config.py"):
        assert imported_modules(file) <= {"lipinc.config", "lipinc.datasets"}, file


def test_the_walker_sees_imports_within_functions(tmp_path):
    file = tmp_path / "m.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nimport lipinc.errors\nfrom lipinc import models\n"
        "if TYPE_CHECKING:\n    from lipinc.video.mouth import residues\n"
        "def f():\n    from lipinc.models import checkpoint, LIPINC\n    import lipinc.demo.faces as faces, os\n"
    )
    assert imported_modules(file) == {
        *("lipinc.errors", "lipinc.models", "lipinc.video.mouth", "lipinc.models.checkpoint", "lipinc.demo.faces"),
    }
