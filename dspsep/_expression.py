"""Separators as they are typed: ``HPSS(margin=2) >> {percussive: NMF(n_components=3)}``.

What `repr` prints is read, too, unless there are arrays in it. The text is parsed, and never run: it may hold
numbers, strings, lists, mappings, arrows, and calls of classes that dspsep knows by name. Everything else is
refused.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from dspsep import _registry
from dspsep.errors import InputError
from dspsep.separator import Separator

__all__ = ["read"]

# A pipeline is a line or two; a text beyond this was not typed.
_LONGEST = 100_000
# What is nested further could be made, and not be printed or run within Python's limit of recursion.
_DEEPEST = 64
_BRACKETS = (ast.Call, ast.Dict, ast.List, ast.Tuple)
_NUMBERS = {"inf": math.inf, "nan": math.nan}


def read(text: str, name: str) -> Separator:
    """Return the separator that `text` describes.

    Parameters
    ----------
    text : str
        An expression of the names of separators, steps and their settings. A name without a call is the
        class with its default settings if there is one so called, else a string: ``{percussive: NMF}``.
    name : str
        What errors call the text.

    Raises
    ------
    InputError
        If it is anything else, or a setting is out of range.
    """
    if len(text) > _LONGEST:
        raise InputError(name, f"of at most {_LONGEST} characters", f"{len(text)}")
    try:
        value = _value(_parsed(text.strip(), name), name)
    except InputError:
        raise
    except SyntaxError as error:
        where = f"{error.msg} at character {error.offset}" if error.offset else error.msg
        where += f" of line {error.lineno}" if "\n" in text.strip() else ""
        raise InputError(name, _WANTED, f"{_brief(text)}: {where}", _REMEDY) from error
    except (ValueError, MemoryError, RecursionError) as error:
        reason = str(error) or "too deep"
        raise InputError(name, _WANTED, f"{_brief(text)}: {reason}", _REMEDY) from error
    if not isinstance(value, Separator):
        raise InputError(name, _WANTED, f"a {type(value).__name__}", _REMEDY)
    return value


_WANTED = "a separator, typed as in Python"
_REMEDY = "For example 'HPSS(margin=2) >> {percussive: NMF(n_components=3)}'."


def _parsed(text: str, name: str) -> ast.expr:
    # In brackets, steps may begin on lines of their own.
    tree = ast.parse(f"({text}\n)" if "\n" in text else text, mode="eval").body
    if _deepest(tree) > _DEEPEST:
        raise InputError(name, f"of brackets nested at most {_DEEPEST} deep", _brief(text))
    return tree


def _value(node: ast.expr, name: str) -> Any:
    reader = _READERS.get(type(node))
    if reader is None:
        got = f"{_brief(ast.unparse(node))}"
        requirement = "made of names, numbers, strings, lists, mappings, calls and >> only"
        raise InputError(name, requirement, got, _REMEDY)
    return reader(node, name)


def _constant(node: Any, name: str) -> Any:
    if not isinstance(node.value, (bool, int, float, str, type(None))):
        raise InputError(name, "made of numbers and strings", repr(node.value)[:60])
    return node.value


def _negative(node: Any, name: str) -> Any:
    value = _value(node.operand, name)
    if not isinstance(node.op, ast.USub) or isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(name, "made of names, numbers and strings", _brief(ast.unparse(node)))
    return -value


def _sequence(node: Any, name: str) -> Any:
    values = [_value(item, name) for item in node.elts]
    return tuple(values) if isinstance(node, ast.Tuple) else values


def _mapping(node: Any, name: str) -> Any:
    if None in node.keys:
        raise InputError(name, "free of **", _brief(ast.unparse(node)))
    # The name of a source is a name, also where a separator is called so.
    keys = [key.id if isinstance(key, ast.Name) else _value(key, name) for key in node.keys]
    for key, typed in zip(keys, node.keys, strict=True):
        if not isinstance(key, str):
            raise InputError(name, "of mappings from names", _brief(f"{{{ast.unparse(typed)}: …}}"))
    _check_once(keys, name, "mapping")
    return dict(zip(keys, (_value(item, name) for item in node.values), strict=True))


def _check_once(words: list[str], name: str, where: str) -> None:
    twice = [word for word, times in Counter(words).items() if times > 1]
    if twice:
        raise InputError(name, f"without a name twice in one {where}", _brief(twice[0]))


def _word(node: Any, name: str) -> Any:
    if node.id in _NUMBERS:
        return _NUMBERS[node.id]
    kind = _class(node.id)
    return node.id if kind is None else _made(kind, name, node, [], {})


def _call(node: Any, name: str) -> Any:
    called = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    kind = _class(called)
    if kind is None:
        known = ", ".join([*_registry.METHODS, *_registry.REFINERS, "Ensemble", "Pipeline"])
        raise InputError(name, f"of what dspsep has: {known}", _brief(called))
    if any(isinstance(given, ast.Starred) for given in node.args) or any(
        k.arg is None for k in node.keywords
    ):
        raise InputError(name, "free of * and **", _brief(ast.unparse(node)))
    _check_once([word.arg for word in node.keywords], name, "call")
    given = [_value(argument, name) for argument in node.args]
    return _made(kind, name, node, given, {word.arg: _value(word.value, name) for word in node.keywords})


def _arrow(node: Any, name: str) -> Any:
    if not isinstance(node.op, ast.RShift):
        raise InputError(name, "free of operators but >>", _brief(ast.unparse(node)), _REMEDY)
    left = _value(node.left, name)
    if not isinstance(left, Separator):
        raise InputError(name, "a separator in front of >>", _brief(ast.unparse(node.left)), _REMEDY)
    return left >> _value(node.right, name)


def _made(kind: Any, name: str, node: ast.expr, given: list[Any], settings: dict[str, Any]) -> Any:
    try:
        return kind(*given, **settings)
    except TypeError as error:
        text = _brief(ast.unparse(node))
        raise InputError(
            name, f"of settings that {kind.__name__} has", f"{text}: {_short(str(error))}"
        ) from error


def _class(word: str) -> Any | None:
    """Return the class so called: any that stored settings may name, and methods as on the command line."""
    try:
        return _registry.type_named(word)
    except InputError:
        pass
    try:
        return _registry.load(_registry.METHODS[_registry.find_method(word)].target)
    except InputError:
        return None


def _deepest(tree: ast.expr) -> int:
    """Return how many brackets are open at most; arrows, of which a list of steps is made, are none."""
    deepest = 0
    left: list[tuple[ast.AST, int]] = [(tree, 0)]
    while left:
        node, depth = left.pop()
        depth += isinstance(node, _BRACKETS)
        deepest = max(deepest, depth)
        left += [(child, depth) for child in ast.iter_child_nodes(node)]
    return deepest


def _brief(text: str) -> str:
    return repr(_short(text))


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"


_READERS: dict[type[ast.expr], Callable[[Any, str], Any]] = {
    ast.BinOp: _arrow,
    ast.Call: _call,
    ast.Constant: _constant,
    ast.Dict: _mapping,
    ast.List: _sequence,
    ast.Name: _word,
    ast.Tuple: _sequence,
    ast.UnaryOp: _negative,
}
