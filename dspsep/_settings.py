"""What separators and refiners share: they are values, and can be stored as text."""

from __future__ import annotations

import dataclasses
from typing import Any, Self, cast

from dspsep import _serial
from dspsep.errors import InputError
from dspsep.stft import STFT

__all__ = ["Settings"]


class Settings:
    """What separators and refiners share: they are values, and can be stored as text."""

    def replace(self, **changes: Any) -> Self:
        """Return the same with some settings changed.

        Examples
        --------
        >>> from dspsep import HPSS
        >>> HPSS(power=1.0).replace(margin=2.0) == HPSS(power=1.0, margin=2.0)
        True
        """
        return cast("Self", dataclasses.replace(cast("Any", self), **changes))

    def to_json(self) -> str:
        """Return the settings as JSON.

        Raises
        ------
        InputError
            If a setting is a function, or an object that dspsep does not know by name.

        Examples
        --------
        >>> from dspsep import HPSS, from_json
        >>> from_json(HPSS(margin=2.0).to_json()) == HPSS(margin=2.0)
        True
        """
        return _serial.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote, of this class or one derived from it.

        Raises
        ------
        InputError
            If the text is not JSON of dspsep, or describes something else.
        """
        value = _serial.loads(text)
        if not isinstance(value, cls):
            raise InputError("text", f"the JSON of a {cls.__name__}", f"that of a {type(value).__name__}")
        return value

    def _whole(self, sample_rate: float) -> str:
        """Return what it is, of the parts of this, that needs the whole mixture: for an error."""
        return type(self).__name__

    def _lines(self) -> list[str]:
        """Return what this is, line by line: its name and the settings that are not the default."""
        if not dataclasses.is_dataclass(self):
            return [repr(self)]
        return [f"{type(self).__name__}({', '.join(_changed(self))})"]


def _changed(settings: Any) -> list[str]:
    """Return the settings that are not the default, as they would be typed."""
    changed = []
    for setting in dataclasses.fields(settings):
        value = getattr(settings, setting.name)
        factory = setting.default_factory
        default = setting.default if factory is dataclasses.MISSING else factory()
        if default is dataclasses.MISSING or value != default:
            changed.append(f"{setting.name}={_short(value)}")
    return changed


def _short(value: Any) -> str:
    lines = value._lines() if isinstance(value, Settings) else [repr(value)]
    if isinstance(value, STFT) and (value.hop_length, value.window) == (max(1, value.n_fft // 4), "hann"):
        return f"STFT({value.n_fft})"
    return lines[0] if len(lines) == 1 else repr(value)
