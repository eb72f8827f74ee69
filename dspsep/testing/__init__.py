"""The contract that every separator keeps, as a public check for separators of anyone.

All of it in one call::

    from dspsep.testing import check_separator

    check_separator(MySeparator())

Or, with pytest, one test per clause::

    @pytest.mark.parametrize("clause", contract(MySeparator()))
    def test_contract(clause):
        clause()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dspsep.separator import Separator
from dspsep.testing._bench import Bench, ContractError
from dspsep.testing._clauses import CLAUSES

__all__ = ["Clause", "ContractError", "check_separator", "contract"]


def check_separator(
    separator: Separator,
    *,
    channels: Sequence[int] = (1, 2),
    sample_rate: float = 16000,
    scale_tolerance: float = 1e-6,
    precision_snr: float = 60.0,
) -> None:
    """Check that a separator keeps the contract of dspsep.

    Parameters
    ----------
    separator : Separator
        With the settings to be checked. It is run some eighty times on up to a second of audio.
    channels : sequence of int, default=(1, 2)
        Numbers of channels it accepts. Where 1 is not among them, mono must be refused.
    sample_rate : float, default=16000
        Of the audio it is run on, in hertz.
    scale_tolerance : float, default=1e-6
        How far, relative to the peak, ``separate(k * mixture)`` may be from ``k * separate(mixture)``. Masks
        keep 1e-6; iterative methods are allowed 1e-4.
    precision_snr : float, default=60.0
        How near, in decibels, single precision must come to double: 60 for masks, 40 for iterative methods.

    Raises
    ------
    ContractError
        Naming the first clause that is broken, and how.

    See Also
    --------
    contract : The same clauses one by one.

    Examples
    --------
    >>> import dspsep
    >>> from dspsep.testing import check_separator
    >>> check_separator(dspsep.HPSS(stft=dspsep.STFT(512)))
    """
    for clause in contract(
        separator,
        channels=channels,
        sample_rate=sample_rate,
        scale_tolerance=scale_tolerance,
        precision_snr=precision_snr,
    ):
        clause()


def contract(
    separator: Separator,
    *,
    channels: Sequence[int] = (1, 2),
    sample_rate: float = 16000,
    scale_tolerance: float = 1e-6,
    precision_snr: float = 60.0,
) -> list[Clause]:
    """Return the clauses of the contract for a separator; calling one checks it.

    Parameters
    ----------
    separator : Separator
        With the settings to be checked.
    channels : sequence of int, default=(1, 2)
        Numbers of channels it accepts.
    sample_rate : float, default=16000
        Of the audio it is run on, in hertz.
    scale_tolerance : float, default=1e-6
        See `check_separator`.
    precision_snr : float, default=60.0
        See `check_separator`.

    Returns
    -------
    list of Clause
        Each with a `name`; called without arguments.

    Examples
    --------
    >>> import dspsep
    >>> from dspsep.testing import contract
    >>> [clause.name for clause in contract(dspsep.HPSS())][:3]
    ['is a value', 'can be stored', 'names its sources']
    """
    bench = Bench(separator, tuple(channels), sample_rate, scale_tolerance, precision_snr)
    return [Clause(name, partial(check, bench)) for name, check in CLAUSES.items()]


@dataclass(frozen=True)
class Clause:
    """One clause of the contract: call it to check it.

    Parameters
    ----------
    name : str
        What it says of a separator.
    check : callable
        Raises `ContractError` if the clause is broken.

    Examples
    --------
    >>> import dspsep
    >>> clause = dspsep.testing.contract(dspsep.HPSS())[0]
    >>> clause.name
    'is a value'
    >>> clause()
    """

    name: str
    check: Callable[[], None]

    def __call__(self) -> None:
        """Check the clause, and raise `ContractError` if it is broken."""
        try:
            self.check()
        except ContractError as error:
            raise ContractError(f"{self.name}: {error}") from error.__cause__
        except Exception as error:
            raise ContractError(f"{self.name}: raised {type(error).__name__}: {error}") from error

    def __repr__(self) -> str:
        return self.name.replace(" ", "-")
