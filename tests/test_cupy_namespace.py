"""Every function of an array namespace that dspsep calls is there in CuPy's, and takes what it is given.

Nothing is run, so that no device is needed: CuPy is imported, and asked what it has.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import dspsep

PACKAGE = Path(dspsep.__file__).parent
# These are only ever given NumPy arrays, or name CuPy's own functions.
ELSEWHERE = ("kernels/cpu", "kernels/simd", "kernels/gpu")


def name_of(node):
    """Return the dotted name below a namespace: "linalg.eigh" of ``xp.linalg.eigh``; else None."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id == "xp":
        return ".".join(parts) or None
    if isinstance(node, ast.Name) and node.id == "self" and parts[:1] == ["_xp"]:
        return ".".join(parts[1:]) or None
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("_backend.namespace"):
        return ".".join(parts) or None
    return None


def uses():
    """Yield (name, None or (number of arguments, their keywords), place) of all that dspsep uses."""
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        if where.startswith(ELSEWHERE):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{where}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Attribute) and (name := name_of(node)):
                yield name, None, place
            if isinstance(node, ast.Call) and (name := name_of(node.func)):
                starred = any(isinstance(argument, ast.Starred) for argument in node.args)
                keywords = tuple(keyword.arg for keyword in node.keywords)
                if not starred and None not in keywords:
                    yield name, (len(node.args), keywords), place


USES = list(uses())


def found_in(namespace, name):
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def refusal(function, given):
    """Return why a function cannot be called so; an empty string if it can, or does not say."""
    n_arguments, keywords = given
    if hasattr(function, "nin"):  # an elementwise function: CuPy's have no signature that can be asked for
        return "" if n_arguments == function.nin and not keywords else f"takes {function.nin} arrays"
    try:
        inspect.signature(function).bind(*range(n_arguments), **dict.fromkeys(keywords))
    except TypeError as error:
        return str(error)
    except ValueError:  # a class or a compiled function without a signature
        return ""
    return ""


def test_uses_are_found():
    names = {name for name, _, _ in USES}
    assert {"linalg.eigh", "fft.rfft", "astype", "float64", "take_along_axis"} <= names
    assert len(USES) > 1000


@pytest.mark.parametrize("library", ["array_api_compat.numpy", "array_api_compat.cupy"])
def test_what_is_used_is_there(library):
    if library.endswith("cupy"):
        pytest.importorskip("cupy", reason="CuPy is not installed: pip install 'dspsep[cuda12]'")
    pytest.importorskip("array_api_compat")
    namespace = __import__(library, fromlist=["linalg"])
    problems = set()
    for name, given, place in USES:
        try:
            function = found_in(namespace, name)
        except AttributeError:
            problems.add(f"{place}: no {name}")
            continue
        if given is not None and (why := refusal(function, given)):
            problems.add(f"{place}: {name}: {why}")
    assert not problems, "\n".join(sorted(problems))


def test_a_missing_function_or_keyword_is_seen():
    with pytest.raises(AttributeError):
        found_in(np, "linalg.no_such_function")
    assert "unexpected keyword" in refusal(lambda x, /, *, axis=0: x, (1, ("axes",)))
    assert refusal(np.sqrt, (3, ())) == "takes 1 arrays"
    assert refusal(lambda x, y: x, (1, ())) != ""
