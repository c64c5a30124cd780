"""What no line of the program may do, whatever it is for: unpickle, evaluate, run a shell, take markup from a string, and
yield while a mode of PyTorch is set for the thread."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sorted([*(ROOT / "playground").rglob("*.py"), ROOT / "app.py"])
SCRIPTS = sorted((ROOT / "playground").rglob("*.js"))
MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
THREAD_MODES = {"inference_mode", "no_grad", "enable_grad", "set_grad_enabled", "autocast", "evaluating", "Trace"}
CALLS = {"eval", "exec", "torch.load", "os.system", "os.popen", "gr.load", "numpy.load", "np.load", "yaml.load"}
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function\b|srcdoc|createContextualFragment"
)


def sins(code: str) -> list[str]:
    """What a file of Python does of it."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found += [name] if name in CALLS else []
            # Gradio takes the value of an HTML as markup: where words are put into it, it has a template that escapes them.
            parts = [part for each in node.args for part in ast.walk(each)] if name == "gr.HTML" else []
            found += ["gr.HTML(f'…')"] if any(isinstance(part, ast.FormattedValue) for part in parts) else []
            found += [
                f"{word.arg}={ast.unparse(word.value)}"
                for word in node.keywords
                if word.arg in ("shell", "trust_remote_code", "allow_pickle") and ast.unparse(word.value) != "False"
            ]
    return found


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from dill import loads", "eval('1')", "import torch\ntorch.load('x', weights_only=True)",
     "subprocess.run('ls', shell=True)", "gr.HTML(f'<b>{name}</b>')",
     "AutoModel.from_pretrained(x, trust_remote_code=True)"],
)  # fmt: skip
def test_a_sin_is_found(code: str) -> None:
    assert sins(code)


def test_no_file_of_python_does_it() -> None:
    assert len(PYTHON) > 100
    assert {str(path.relative_to(ROOT)): found for path in PYTHON if (found := sins(path.read_text("utf-8")))} == {}


def test_no_script_makes_markup_of_a_text() -> None:
    assert len(SCRIPTS) > 20
    assert {path.name: found for path in SCRIPTS if (found := MARKUP.findall(path.read_text("utf-8")))} == {}


def test_versions_below_the_fixed_holes_are_not_installed() -> None:
    """gradio before 6.31 has the brotli advisory, torch before 2.10 the second hole in weights_only."""
    wanted = (ROOT / "requirements.txt").read_text("utf-8")
    assert re.search(r"^gradio>=6\.3[1-9]", wanted, re.MULTILINE)
    assert re.search(r"^torch==2\.(1[0-9]|[2-9][0-9])", wanted, re.MULTILINE)


def held_while_yielding(code: str) -> list[str]:
    """The modes of a thread inside which a generator yields: another thread may resume it, and the first keeps the mode."""

    def yields(node: ast.AST) -> bool:
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        return any(yields(child) for child in ast.iter_child_nodes(node) if not isinstance(child, functions))

    found = []
    tree = ast.parse(code)
    managers = {
        child
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and "contextmanager" in map(ast.unparse, function.decorator_list)
        for child in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and node not in managers and any(map(yields, node.body)):
            calls = [item.context_expr.func for item in node.items if isinstance(item.context_expr, ast.Call)]
            found += [name for call in calls if (name := ast.unparse(call).split(".")[-1]) in THREAD_MODES]
    return found


def test_a_mode_that_is_held_while_yielding_is_found() -> None:
    held = "def f():\n with x, torch.inference_mode():\n  for y in z:\n   yield y"
    assert held_while_yielding(held) == ["inference_mode"]
    assert held_while_yielding(f"@contextmanager\n{held}") == []
    assert held_while_yielding("def f():\n with torch.no_grad():\n  y = lambda: (yield)\n yield y") == []


def test_no_generator_yields_in_a_mode_of_its_thread() -> None:
    found = {str(path.relative_to(ROOT)): held_while_yielding(path.read_text("utf-8")) for path in PYTHON}
    assert {path: modes for path, modes in found.items() if modes} == {}
