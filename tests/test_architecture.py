"""The house holds together: imports go down only, the engine is pure, clips start without torch, no machine leaks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).parents[1]
PACKAGES = ("blending", "models", "clips", "studio")
THIN_DOORS = ("preprocess_core_clips.py", "test_face_blending.py")

ALLOWED = {
    "blending": {"blending"},
    "models": {"models", "blending.types"},
    "clips": {"clips", "models", "blending"},
    "studio": {"studio", "clips", "models", "blending"},
}
"""What of ours each package may import; a name allows everything below it."""

PROGRAMS_ON_TOP = {"models/__main__.py", "models/train.py", "models/evaluate.py", "blending/benchmark.py"}
"""Programs that use the network or the engine on footage: they may import clips and all of blending, and use files."""

NOT_FOR_THE_ENGINE = {
    "torch", "gradio", "fastapi", "mediapipe", "librosa", "imageio", "imageio_ffmpeg", "av", "yaml",
    "logging", "pathlib", "os", "io", "shutil", "tempfile", "subprocess", "pickle", "sqlite3", "socket", "urllib",
}  # fmt: skip
FILE_CALLS = {
    "open", "imread", "imwrite", "imdecode", "imencode", "VideoCapture", "VideoWriter", "load", "save", "savez",
    "savez_compressed", "fromfile", "tofile", "memmap", "print",
}  # fmt: skip


class Import(NamedTuple):
    """One import line: module as written in full, line number, whether it runs when the module is imported."""

    module: str
    line: int
    at_import: bool


def imports_of(source: str, package: str) -> list[Import]:
    """Every import of a module; `package` is the dotted package it lies in, for relative ones."""
    found: list[Import] = []

    def visit(node: ast.AST, at_import: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # In `from blending import types` what follows the import may be a module.
            whole = base in PACKAGES or not node.module
            names = [f"{base}.{alias.name}".lstrip(".") if whole else base for alias in node.names]
            found.extend(Import(name, node.lineno, at_import) for name in names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                visit(child, False)
            for child in node.orelse:
                visit(child, at_import)
        else:
            inside = at_import and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                visit(child, inside)

    visit(ast.parse(source), True)
    return found


def is_below(module: str, roots: set[str]) -> bool:
    return any(module == root or module.startswith(root + ".") for root in roots)


def breaches(path: str, source: str) -> list[str]:
    """What the import lines of one file break, in words."""
    package = path.split("/")[0]
    allowed = ALLOWED[package] | ({"clips", "blending"} if path in PROGRAMS_ON_TOP else set())
    found = []
    for one in imports_of(source, ".".join(path.split("/")[:-1])):
        top = one.module.split(".")[0]
        if top in PACKAGES and not is_below(one.module, allowed):
            found.append(f"{path}:{one.line} imports {one.module}")
        if package == "blending" and path not in PROGRAMS_ON_TOP and top in NOT_FOR_THE_ENGINE:
            found.append(f"{path}:{one.line} imports {one.module} into the engine")
        if package in ("clips", "studio") and top == "torch":
            found.append(f"{path}:{one.line} imports torch")
        if package == "clips" and top == "models" and one.at_import:
            found.append(f"{path}:{one.line} imports models when it is imported")
        if package != "studio" and top in ("gradio", "fastapi", "uvicorn"):
            found.append(f"{path}:{one.line} imports {one.module}; that is the studio's")
    return found


def modules() -> list[str]:
    return sorted(str(p.relative_to(REPO)) for package in PACKAGES for p in (REPO / package).rglob("*.py"))


def test_there_are_modules_to_look_at():
    found = modules()
    assert {"blending/types.py", "models/unet.py", "clips/render.py"} <= set(found)


@pytest.mark.parametrize("path", modules())
def test_imports_go_down_only(path):
    assert breaches(path, (REPO / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source", "count"),
    [
        ("blending/x.py", "import torch", 1),
        ("blending/x.py", "def f():\n    from clips import video", 1),
        ("blending/x.py", "from pathlib import Path", 1),
        ("blending/x.py", "from .. import clips", 1),
        ("blending/x.py", "from . import types\nfrom .types import Frame\nimport numpy, cv2, pydantic", 0),
        ("models/x.py", "from blending.types import Frame", 0),
        ("models/x.py", "from blending import types", 0),
        ("models/x.py", "from blending import Blender", 1),
        ("models/x.py", "import blending.mask", 1),
        ("models/x.py", "from clips.video import probe", 1),
        ("models/train.py", "from clips.video import probe\nfrom blending import seam_score", 0),
        ("models/train.py", "import studio.app", 1),
        ("blending/benchmark.py", "from pathlib import Path\nfrom clips.video import read_frames", 0),
        ("blending/benchmark.py", "import studio.app\nfrom models import LipSyncModel", 2),
        ("clips/x.py", "from models import LipSyncModel", 1),
        ("clips/x.py", "class A:\n    from models import LipSyncModel", 1),
        ("clips/x.py", "try:\n    import models\nexcept ImportError:\n    pass", 1),
        ("clips/x.py", "def f():\n    from models import LipSyncModel", 0),
        ("clips/x.py", "if TYPE_CHECKING:\n    from models import LipSyncModel\nelse:\n    import models", 1),
        ("clips/x.py", "def f():\n    import torch", 1),
        ("clips/x.py", "import gradio", 1),
        ("clips/x.py", "from studio import layout", 1),
        ("studio/x.py", "import gradio\nfrom clips.render import render\nfrom blending import BlendSettings", 0),
        ("studio/x.py", "import torch.nn", 1),
    ],
)
def test_the_rules_catch_what_they_should(path, source, count):
    assert len(breaches(path, source)) == count


def test_the_engine_touches_no_files():
    for path in (REPO / "blending").rglob("*.py"):
        if str(path.relative_to(REPO)) in PROGRAMS_ON_TOP:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert name not in FILE_CALLS, f"{path.name}:{node.lineno} calls {name}"


def test_clips_start_without_torch():
    """Every module of clips, in a fresh interpreter: a command line answers a typing mistake at once."""
    names = [p.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for p in modules() if p[:6] == "clips/"]
    heavy = ("torch", "models", "mediapipe", "gradio", "librosa", "matplotlib")
    program = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", program],
        cwd=REPO, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert "clips.render" in names


@pytest.mark.parametrize("name", THIN_DOORS)
def test_documented_commands_are_thin_doors(name):
    tree = ast.parse((REPO / name).read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(tree.body) <= 8


# What must not be in any file of the project


def project_files() -> list[Path]:
    """Files that git tracks or would track."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPO, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("this is no git checkout, so which files belong to the project is not known")
    return [REPO / name for name in done.stdout.decode().split("\0") if name and (REPO / name).is_file()]


# Put together here, so that this file is not a finding of its own.
ABSOLUTE_PATH = re.compile(
    rb"(?<![\w./}\-])/(" + b"|".join([b"work", b"opt", b"root", b"home", b"Users", b"tmp"]) + rb")/\w"
)
REGISTRY = re.compile(
    b"|".join(
        [rb"pypi\.", rb"python" + rb"hosted\.", rb"npm" + rb"js\.", rb"index-" + rb"url", rb"find-" + rb"links",
         rb"trusted-" + rb"host", rb"download\.py" + rb"torch\.", rb"hugging" + rb"face\.co"]
    )
)  # fmt: skip


@pytest.mark.parametrize("pattern", [ABSOLUTE_PATH, REGISTRY], ids=["absolute paths", "registry hosts"])
def test_no_machine_or_registry_is_named(pattern):
    found = []
    for path in project_files():
        for match in pattern.finditer(path.read_bytes()):
            found.append(f"{path.relative_to(REPO)}: {match.group().decode('latin-1')}")
    assert found == []


def test_the_patterns_catch_what_they_should():
    for text in (b'"/wo' + b'rk/main/x"', b"cd /ho" + b"me/me", b"(/tm" + b"p/a.mp4)"):
        assert ABSOLUTE_PATH.search(text), text
    for text in (b"../wo" + b"rk/a", b"/workspace/a", b"https://x.org/ho" + b"me/y", b"{root}/tm" + b"p/z", b"a/opt/b"):
        assert not ABSOLUTE_PATH.search(text), text
    assert REGISTRY.search(b"https://py" + b"pi.org/simple")
    assert not REGISTRY.search(b"PyPI packages")
