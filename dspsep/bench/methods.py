"""What is compared: separators, bounds that are made of the true sources, and the mixture itself, by name.

A method is data wherever it can be: the name of a class and its settings as JSON, so that it means the same
on another machine and tomorrow. Code (a class or a function of the user's) can be given to `run_benchmark`,
and never comes from a file.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from dspsep import _registry, _serial
from dspsep.bench import _plain
from dspsep.errors import InputError
from dspsep.separator import Separator
from dspsep.sources import check_source_name

__all__ = ["BASELINES", "MIXTURE", "ORACLES", "Counted", "Method", "methods_file", "methods_of"]

#: The name of the row that has done nothing.
MIXTURE = "mixture"

#: Upper bounds, which are made of the true sources of each track.
ORACLES = ("IBM", "IRM", "IWM", "MWF", "PSM")

#: What every table has: a lower bound, and upper ones of masks and of filters.
BASELINES = (MIXTURE, "IBM", "IRM", "MWF")

_MOST_BYTES = 10_000_000

# What a name does not stand for where all methods are asked for: that row is called `mixture`.
_NOT_AMONG_ALL = ("MixtureAsEstimate",)

Factory: TypeAlias = Callable[[Any], Separator]


@dataclass(frozen=True)
class Counted:
    """A separator that is told how many sources each track has.

    The number replaces its setting `n_sources`; in a pipeline, that of the first step. A separator that
    refuses it (as many blind methods do that find one source for each channel) and whose own is None is left
    to itself.

    Parameters
    ----------
    separator : Separator
        With a setting `n_sources`.

    Raises
    ------
    InputError
        If it is no separator, or has no such setting.

    Examples
    --------
    >>> from dspsep import FastMNMF2
    >>> from dspsep.bench import Counted
    >>> method = Counted(FastMNMF2(n_iter=10))
    """

    separator: Separator

    def __post_init__(self) -> None:
        if not isinstance(self.separator, Separator):
            got = repr(self.separator)[:60]
            raise InputError("separator", "a separator", got, "For example Counted(FastMNMF2()).")
        if not _can_be_told(self.separator):
            raise InputError("separator", "one with a setting n_sources", repr(self.separator)[:60])


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """One row of a table.

    Parameters
    ----------
    name : str
        What it is called.
    kind : {"separator", "oracle", "mixture", "callable"}
        What makes the separator of a track.
    text : str
        What to print.
    settings : str or None
        As JSON: those of the separator as `Separator.to_json` gives them, or of an oracle without its
        references. None where it is code.
    counted : bool
        Whether it is told the number of sources.
    code : Separator or callable, optional
        A separator of the user's, or what makes one of a loaded track.
    """

    name: str
    kind: str
    text: str
    settings: str | None = None
    counted: bool = False
    code: Separator | Factory | None = None

    def plain(self) -> dict[str, Any]:
        """Return what a results folder tells of it."""
        return {
            "name": self.name, "kind": "separator" if self.kind == "callable" else self.kind,
            "settings": self.settings, "counted": self.counted, "text": self.text,
        }  # fmt: skip

    def identity(self) -> dict[str, Any]:
        """Return what makes records those of another method when it changes."""
        plain = self.plain()
        if self.settings is not None:
            plain["settings"] = json.loads(self.settings)
            del plain["text"]
        return {**plain, "source": _plain.digest_of_code(self.code)}

    def separator(self, track: Any, names: tuple[str, ...], seed: int | None) -> Separator:
        """Return the separator for a track.

        Parameters
        ----------
        track : LoadedTrack
            With `sources` and `mixture`.
        names : tuple of str
            Of the sources that are scored.
        seed : int or None
            Replaces the seeds among the settings.

        Returns
        -------
        Separator
            Ready to be used.
        """
        if self.kind == "mixture":
            return cast("Separator", _registry.type_named("MixtureAsEstimate")(source_names=names))
        if self.kind == "callable":
            return _made_by(self.code, track)
        if self.settings is None:
            return _changed(cast("Separator", self.code), len(names) if self.counted else None, seed)
        settings = json.loads(self.settings)
        if self.kind == "oracle":
            kind = _registry.type_named(settings.pop("type"))
            references = {name: track.sources[name] for name in track.sources}
            return cast("Separator", kind(references=references, **_plain.loaded(settings)))
        if self.counted:
            _plain.tell(settings, len(names))
        if seed is not None:
            _plain.seed_all(settings, seed)
        return cast("Separator", _serial.loads(json.dumps(settings)))

    def left_to_itself(self) -> Method | None:
        """Return the same method for tracks whose number of sources it refuses; None if there is none."""
        if not self.counted:
            return None
        own = (
            _plain.own_count(json.loads(self.settings))
            if self.settings
            else getattr(self.code, "n_sources", 0)
        )
        return dataclasses.replace(self, counted=False) if own is None else None

    def takes_seed(self) -> bool:
        """Tell whether there is a seed among the settings."""
        if self.settings is not None:
            return self.kind == "separator" and _plain.has_seed(json.loads(self.settings))
        return isinstance(self.code, Separator) and "seed" in _fields_of(self.code)


def methods_of(methods: object) -> tuple[Method, ...]:
    """Return methods in whatever form they were given.

    Parameters
    ----------
    methods : object
        As of `run_benchmark`.

    Returns
    -------
    tuple of Method
        All with names of their own.

    Raises
    ------
    InputError
        If there is none, or one makes no sense, or two have one name.
    """
    if isinstance(methods, Mapping):
        found = [_named(name, method) for name, method in methods.items()]
    elif isinstance(methods, (str, Separator, Counted, Method)) or callable(methods):
        found = _several(methods)
    elif isinstance(methods, Iterable):
        found = [one for method in methods for one in _several(method)]
    else:
        raise _no_method(methods)
    if not found:
        raise InputError("methods", "at least one", "none")
    seen: set[str] = set()
    for method in found:
        if method.name.casefold() in seen:
            remedy = "Give a mapping from names to methods: {'short': HPSS(…), 'long': HPSS(…)}."
            raise InputError("methods", "of different names", f"two called {method.name!r}", remedy)
        seen.add(method.name.casefold())
    return tuple(found)


def methods_file(path: str | Path) -> dict[str, Any]:
    """Return the methods of a file: data alone, no code.

    Parameters
    ----------
    path : str or Path
        JSON: an object from names to methods. A method is a name such as ``"HPSS"``, the JSON of a separator
        or a pipeline, that of an oracle without references, or ``{"type": "Counted", "separator": …}``.

    Returns
    -------
    dict of str to object
        For `run_benchmark`.

    Raises
    ------
    InputError
        If there is no such file, or it holds something else.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from dspsep.bench import methods_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "methods.json"
    ...     text = '{"wide": {"type": "HPSS", "margin": 2.0}, "bound": "IRM"}'
    ...     n_written = path.write_text(text)
    ...     methods = methods_file(path)
    >>> methods["wide"].margin, methods["bound"]
    (2.0, 'IRM')
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        plain = json.loads(text)
    except OSError as error:
        raise InputError("methods", "a file that can be read", f"{str(path)!r}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError("methods", "a file of JSON", f"{str(path)!r}: {str(error)[:80]}") from error
    if not isinstance(plain, dict) or "type" in plain or not plain:
        remedy = 'For example {"short": {"type": "HPSS", "margin": 2.0}, "upper bound": "IRM"}.'
        raise InputError("methods", "a file with an object from names to methods", repr(str(path)), remedy)
    return {name: _from_plain(name, method) for name, method in plain.items()}


def _from_plain(name: str, plain: object) -> Any:
    if isinstance(plain, str):
        return plain
    if not isinstance(plain, dict):
        raise InputError(f"the method {name!r}", "a name, or the JSON of a separator", repr(plain)[:60])
    kind = plain.get("type")
    if kind == "Counted" and plain.keys() == {"type", "separator"}:
        inner = _from_plain(name, plain["separator"])
        return Counted(inner)
    if kind in ORACLES:
        return _oracle(name, kind, {key: value for key, value in plain.items() if key != "type"})
    value = _serial.loads(json.dumps(plain))
    if not isinstance(value, Separator):
        raise InputError(f"the method {name!r}", "the JSON of a separator", f"that of a {kind}")
    return value


def _several(method: object) -> list[Method]:
    if isinstance(method, str) and method.strip().lower() == "all":
        return [_by_name(name) for name in _registry.METHODS if name not in _NOT_AMONG_ALL]
    return [_named(None, method)]


def _named(name: object, method: object) -> Method:
    """Return a method under a name, or under the one that it has by itself."""
    if name is not None:
        check_source_name(name)
    found = _method(method)
    return found if name is None else dataclasses.replace(found, name=cast("str", name))


def _method(method: object) -> Method:
    if isinstance(method, Method):
        return method
    if isinstance(method, str):
        return _by_name(method)
    if isinstance(method, Counted):
        return dataclasses.replace(
            _of_separator(method.separator), counted=True, text=f"Counted({method.separator!r})"
        )
    if isinstance(method, Separator):
        return _of_separator(method)
    kind, settings = _class_and_settings(method)
    if isinstance(kind, type) and kind.__name__ in ORACLES and _registry.is_registered(kind):
        plain = {key: json.loads(_serial.dumps(value)) for key, value in settings.items()}
        return _oracle(kind.__name__, kind.__name__, plain)
    if isinstance(method, type) and issubclass(method, Separator):
        raise InputError(
            "methods", "separators, not classes of them", method.__name__, f"{method.__name__}()."
        )
    if callable(method):
        name = getattr(method, "__name__", type(method).__name__)
        module = getattr(method, "__module__", "")
        return Method(name=name, kind="callable", text=f"{module}.{name}", code=cast("Factory", method))
    raise _no_method(method)


def _by_name(name: str) -> Method:
    """Return what a name stands for: defaults, and the number of sources where a method has to know it."""
    plain = name.strip()
    if plain.lower() == MIXTURE:
        return Method(name=MIXTURE, kind="mixture", text="The mixture, as the estimate of every source")
    for oracle in ORACLES:
        if plain.lower() == oracle.lower():
            return _oracle(oracle, oracle, {})
    try:
        found = _registry.find_method(plain)
    except InputError:
        known = ", ".join([MIXTURE, *ORACLES, *_registry.METHODS])
        raise InputError("methods", f"all, or names out of {known}", repr(name)[:60]) from None
    separator = _registry.load(_registry.METHODS[found].target)()
    return _method(Counted(separator) if _can_be_told(separator) else separator)


def _of_separator(separator: Separator) -> Method:
    name, text = type(separator).__name__, repr(separator)
    try:
        return Method(name=name, kind="separator", text=text, settings=separator.to_json())
    except InputError:  # a class of the user's, or a function among the settings
        return Method(name=name, kind="separator", text=text, code=separator)


def _oracle(name: str, kind: str, settings: Mapping[str, Any]) -> Method:
    known = [field.name for field in dataclasses.fields(_registry.type_named(kind))]
    for key in settings:
        if key not in known or key == "references":
            own = ", ".join(one for one in known if one != "references")
            remedy = "The references are those of each track."
            raise InputError(f"a setting of {kind}", f"one of {own}", repr(key)[:60], remedy)
    values = _plain.loaded(settings)
    silence = np.zeros(1, np.float32)
    _registry.type_named(kind)(references={"any": silence}, **values)  # refuses what is out of range
    text = f"{kind}({', '.join(f'{key}={value!r}' for key, value in values.items())})"
    return Method(name=name, kind="oracle", text=text, settings=json.dumps({"type": kind, **settings}))


def _class_and_settings(method: object) -> tuple[object, dict[str, Any]]:
    """Return the class of an oracle, and what was given with it: ``IRM``, or ``partial(IRM, exponent=2)``."""
    if isinstance(method, functools.partial) and not method.args:
        return method.func, dict(method.keywords)
    return method, {}


def _made_by(code: object, track: Any) -> Separator:
    made = cast("Factory", code)(track)
    if not isinstance(made, Separator):
        raise InputError("a method that is a function", "one that returns a separator", repr(made)[:60])
    return made


def _changed(separator: Separator, n_sources: int | None, seed: int | None) -> Separator:
    changes: dict[str, Any] = {} if n_sources is None else {"n_sources": n_sources}
    if seed is not None and "seed" in _fields_of(separator):
        changes["seed"] = seed
    return separator.replace(**changes) if changes else separator


def _can_be_told(separator: Separator) -> bool:
    steps = getattr(separator, "steps", None)
    first = steps[0] if steps else separator
    return "n_sources" in _fields_of(first) if first is separator else _can_be_told(first)


def _fields_of(separator: object) -> list[str]:
    return [f.name for f in dataclasses.fields(cast("Any", separator))] if _is_dataclass(separator) else []


def _is_dataclass(value: object) -> bool:
    return dataclasses.is_dataclass(value)


def _no_method(got: object) -> InputError:
    return InputError(
        "methods", "names, separators, oracles or functions that return a separator", repr(got)[:60],
        "For example ['HPSS', RPCA(), 'IRM'], or a mapping from names to such.",
    )  # fmt: skip
