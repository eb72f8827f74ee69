r"""The literature in docstrings, read: what a method's page says is what is cited, so neither can go stale.

A reference in a docstring has one form, which `parsed` takes apart and a test asks of every class:

    A. Author, B. Author, "Title", where 12(3), 2010, pp. 1-9. doi:10.1000/1

where "where" is a journal with volume and number, a conference, ``in Book, Publisher``, ``dissertation,
University``, or ``Institution, TR2010-001``.
"""

from __future__ import annotations

import inspect
import itertools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from dspsep.errors import DspsepError

__all__ = ["Reference", "latex", "parsed", "references_of", "summary_of", "with_keys"]

_OUTER = re.compile(r'(?P<authors>[^"]+), "(?P<title>.+?)", (?P<rest>.+)')
_DOI = re.compile(r",? (?:doi:|DOI )(?P<doi>10\.\S+?)\.?$")
_ARXIV = re.compile(r",? arXiv:(?P<arxiv>[\w./-]+?)\.?$")
_PAGES = re.compile(r", pp\. (?P<first>\d+)[-–](?P<last>\d+)(?::.*)?\.?$")
_YEAR = re.compile(r"(?:(?P<where>.*?),? )?(?P<year>(?:19|20)\d\d)(?::(?P<article>\d+))?(?:[.,:].*)?")
_NUMBERED = re.compile(r"(?P<journal>.+) (?P<volume>[A-Z]?\d+(?:-[A-Z])?)\((?P<number>\d+)\)")
_VOLUME = re.compile(r"(?P<journal>.+) (?P<volume>\d+)")
_REPORT = re.compile(r"(?P<institution>.+), (?P<number>TR[\d-]+)")
_BOOK = re.compile(r"in (?P<booktitle>.+), (?P<publisher>[^,]+)")
_FORMS = (("article", _NUMBERED), ("techreport", _REPORT), ("incollection", _BOOK), ("article", _VOLUME))
_AUTHOR = re.compile(r"(?P<initials>(?:\w\.[- ]?)+) (?P<last>\S.*)")

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "ß": r"{\ss}", "ø": r"{\o}", "Ø": r"{\O}", "æ": r"{\ae}", "Æ": r"{\AE}",
    "å": r"{\aa}", "Å": r"{\AA}", "ł": r"{\l}", "Ł": r"{\L}", "ı": r"{\i}", "–": "--", "—": "---",
    "’": "'", "“": "``", "”": "''",
}  # fmt: skip

#: What LaTeX writes for a combining mark.
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
    "\u0328": "k",
}  # fmt: skip

_SMALL = {"a", "an", "the", "on", "of", "in", "for"}


@final
@dataclass(frozen=True, kw_only=True)
class Reference:
    """A work of literature.

    Attributes
    ----------
    kind : str
        The type of BibTeX's entry.
    authors : tuple of pairs of str
        Initials and last name; ("", "others") for all others.
    title : str
        As in the docstring.
    year : int
        Of publication.
    fields : tuple of pairs of str
        What else BibTeX has a field for, in its order, not escaped.
    """

    kind: str
    authors: tuple[tuple[str, str], ...]
    title: str
    year: int
    fields: tuple[tuple[str, str], ...]

    @property
    def identity(self) -> str:
        """The same for the same work, however it is written: letters and digits of the title."""
        return "".join(character for character in _plain(self.title).lower() if character.isalnum())

    def key(self, n_words: int = 1) -> str:
        """Return what it is cited as: last name, year, and the first words of the title that tell."""
        words = re.findall(r"[a-z]\w*", _plain(self.title).lower(), re.ASCII)
        telling = "".join([word for word in words if word not in _SMALL][:n_words])
        return f"{re.sub('[^a-z]', '', _plain(self.authors[0][1]).lower())}{self.year}{telling}"

    @property
    def short(self) -> str:
        """Last names and year, as in running text."""
        names = [last for _, last in self.authors]
        many = len(names) > 2 or names[-1] == "others"
        return f"{f'{names[0]} et al.' if many else ' and '.join(names)}, {self.year}"

    def bibtex(self, key: str) -> str:
        """Return the entry of a BibTeX file."""
        authors = [
            f"{latex(last)}, {latex(initials)}" if initials else last for initials, last in self.authors
        ]
        fields = {"author": " and ".join(authors), "title": _title(self.title)}
        # An address is written as it is: BibTeX has no use for its escapes, and packages read it verbatim.
        fields |= {name: value if name in ("doi", "eprint") else latex(value) for name, value in self.fields}
        fields["year"] = str(self.year)
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@{self.kind}{{{key},", *lines, "}"])


def references_of(kind: type) -> tuple[Reference, ...]:
    """Return what the docstring of a class refers to."""
    return tuple(map(parsed, _paragraphs(kind)))


def summary_of(kind: type) -> str:
    """Return the first sentence of a class's docstring, without its full stop."""
    return _doc(kind).strip().splitlines()[0].rstrip(".")


def parsed(text: str) -> Reference:
    """Return a reference that is written in the form of the docstrings."""
    text = " ".join(text.split())
    outer = _OUTER.fullmatch(text)
    if outer is None:
        raise ValueError(f"no reference: {text!r}")
    fields: dict[str, str] = {}
    rest = outer["rest"]
    for pattern in (_DOI, _ARXIV):
        if (found := pattern.search(f" {rest}")) is not None:
            fields |= found.groupdict()
            rest = f" {rest}"[: found.start()].strip().rstrip(".")
    if (found := _PAGES.search(rest)) is not None:
        fields["pages"] = f"{found['first']}–{found['last']}"
        rest = rest[: found.start()]
    dated = _YEAR.fullmatch(rest.strip())
    if dated is None:
        raise ValueError(f"no year at the end of {rest!r} in {text!r}")
    kind, where = _where(dated["where"] or "", dated["article"])
    if "arxiv" in fields:
        fields = {"eprint": fields.pop("arxiv"), "archiveprefix": "arXiv", **fields}
    last = [(name, fields[name]) for name in ("pages", "eprint", "archiveprefix", "doi") if name in fields]
    return Reference(
        kind=kind,
        authors=_authors(outer["authors"]),
        title=outer["title"],
        year=int(dated["year"]),
        fields=(*where.items(), *last),
    )


def with_keys(references: Iterable[Reference]) -> dict[str, Reference]:
    """Return works by the keys they are cited as: each once, and no key twice."""
    works: dict[str, Reference] = {}
    for reference in references:
        works.setdefault(reference.identity, reference)
    keyed: dict[str, Reference] = {}
    for reference in works.values():
        key = next(key for n in itertools.count(1) if (key := reference.key(n)) not in keyed)
        keyed[key] = reference
    return keyed


def latex(text: str) -> str:
    """Return text for LaTeX and BibTeX, in ASCII as far as LaTeX has commands for its letters."""
    written = ""
    for character in unicodedata.normalize("NFC", text):
        if character in _SPECIAL:
            written += _SPECIAL[character]
            continue
        decomposed = unicodedata.normalize("NFD", character)
        base, marks = decomposed[:1], decomposed[1:]
        if marks in _ACCENTS:
            base = {"i": r"\i"}.get(base, base)
            accent = _ACCENTS[marks]
            space = " " if accent.isalpha() and not base.startswith("\\") else ""
            written += f"{{\\{accent}{space}{base}}}"
        else:
            written += character
    return written


def _where(where: str, article: str | None) -> tuple[str, dict[str, str]]:
    """Return the type of an entry, and the fields that say where it appeared."""
    if not where:
        return "misc", {}
    if article is not None:
        return "article", {"journal": where, "number": article}
    if where.startswith("dissertation, "):
        return "phdthesis", {"school": where.removeprefix("dissertation, ")}
    if where.startswith("Advances in ") and (found := _VOLUME.fullmatch(where)):  # proceedings that count
        return "inproceedings", {"booktitle": found["journal"], "volume": found["volume"]}
    for kind, pattern in _FORMS:
        if (found := pattern.fullmatch(where)) is not None:
            return kind, found.groupdict()
    return "inproceedings", {"booktitle": where}


def _authors(text: str) -> tuple[tuple[str, str], ...]:
    others = text.endswith(" et al.")
    names = re.split(r",? and |, ", text.removesuffix(" et al."))
    authors = []
    for name in names:
        found = _AUTHOR.fullmatch(name)
        if found is None:
            raise ValueError(f"no initials and last name: {name!r} in {text!r}")
        authors.append((found["initials"].strip(), found["last"]))
    return (*authors, *([("", "others")] * others))


def _title(title: str) -> str:
    """Return a title in which styles of bibliographies cannot change capitals that must stay."""
    words = []
    for index, word in enumerate(title.split(" ")):
        kept = word[1:] if index == 0 else word
        words.append(f"{{{latex(word)}}}" if kept != kept.lower() else latex(word))
    return " ".join(words)


def _plain(text: str) -> str:
    """Return text without accents."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _paragraphs(kind: type) -> list[str]:
    """Return the paragraphs of the section "References" of a docstring."""
    found = re.search(r"^References\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}$|\Z)", _doc(kind), re.DOTALL | re.MULTILINE)
    return [] if found is None else [part for part in found[1].split("\n\n") if part.strip()]


def _doc(kind: type) -> str:
    if not kind.__doc__ or kind.__doc__.startswith(f"{kind.__name__}("):  # what dataclasses make up
        raise DspsepError(
            f"{kind.__name__} has no docstring to cite from: run Python without -OO, which removes them."
        )
    return inspect.cleandoc(kind.__doc__)
