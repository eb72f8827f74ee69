"""HTML in which escaping is the rule: every string is text, unless `element` made it."""

from __future__ import annotations

import base64
import hashlib
import html
import math
import os
import re
import secrets
from importlib import resources
from pathlib import Path

__all__ = ["Markup", "document", "element", "frame", "number", "signed", "write"]

_VOID = {"img", "link", "meta"}

_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)

#: One script together, each file on what the one before it has.
_SCRIPTS = ("player_mixer.js", "player_view.js", "player.js")

#: How a player begins. No text contains it: quotes in text are escaped.
_PLAYER = '<section class="dspsep-player"'

#: Control characters, halves of characters (which have no UTF-8: the page could not be written), and what
#: reorders the text around it, and so can make a name look like another.
_HARMFUL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


class Markup(str):
    """HTML as `element` returns it. Any other string is text."""

    __slots__ = ()


def _escape(text: str) -> str:
    """Return `text` so that HTML shows it as it is, in elements and in quoted attributes."""
    return html.escape(_HARMFUL.sub("\ufffd", text), quote=True)


def element(tag: str, *children: str, **attributes: str | float | bool) -> Markup:
    """Return an element: children that are not `Markup` are escaped, and so is every attribute.

    A trailing underscore in an attribute's name is dropped (``class_``), others become dashes
    (``aria_label``). True writes the name alone, False nothing.
    """
    opening = tag
    for name, value in attributes.items():
        plain = name.rstrip("_").replace("_", "-")
        if value is True:
            opening += f" {plain}"
        elif value is not False:
            opening += f' {plain}="{_escape(str(value))}"'
    if tag in _VOID:
        return Markup(f"<{opening}>")
    content = "".join(child if isinstance(child, Markup) else _escape(child) for child in children)
    return Markup(f"<{opening}>{content}</{tag}>")


def document(title: str, *body: Markup, style: str = "page.css") -> str:
    """Return a page that may show its own pictures and play its own sounds, and nothing else.

    If there is a player in it, the page also has the player's style and its script, and its policy lets
    exactly that script run: no other, and that one cannot load anything.
    """
    has_player = any(_PLAYER in part for part in body)
    styles = [_packaged(style)] + [_packaged("player.css")] * has_player
    script = "".join(map(_packaged, _SCRIPTS)) if has_player else ""
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),  # or browsers ask the server for one
        element("style", Markup("\n" + "\n".join(styles))),
    ]
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        *head,
        "</head>",
        "<body>",
        *body,
        *([element("script", Markup(script))] if script else []),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


#: Frames take after the colour scheme of the element that holds them; notebooks say theirs in an attribute.
_FRAME_STYLE = """
:is([data-jp-theme-light="false"], .vscode-dark, [theme="dark"]) .dspsep-frame { color-scheme: dark; }
:is([data-jp-theme-light="true"], .vscode-light, [theme="light"]) .dspsep-frame { color-scheme: light; }
"""


def frame(page: str, title: str, height: int) -> Markup:
    """Return a page as a frame for a notebook: its script runs, and can reach nothing outside of it."""
    isolated = element(
        "iframe",
        srcdoc=page,
        title=title,
        sandbox="allow-scripts",
        class_="dspsep-frame",
        style=f"display: block; width: 100%; height: {height}px; border: 0;",
    )
    return Markup(element("style", Markup(_FRAME_STYLE)) + isolated)


def _packaged(name: str) -> str:
    return resources.files("dspsep.display").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Return a content-security policy under which no script but this one runs."""
    if not script:
        return _POLICY
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"{_POLICY}; script-src 'sha256-{digest}'"


def number(value: float, digits: int = 2) -> str:
    """Return a number as it is printed in a text: true minus sign, ∞, and a dash where there is none.

    Examples
    --------
    >>> number(-3.14159), number(float("inf")), number(float("nan"))
    ('−3.14', '∞', '–')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    rounded = f"{value:.{digits}f}"
    if float(rounded) == 0:
        rounded = rounded.lstrip("-")
    return rounded.replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, also where it is positive.

    Examples
    --------
    >>> signed(2.0), signed(-2.0), signed(0.0)
    ('+2.00', '−2.00', '0.00')
    """
    text = number(value, digits)
    has_none = text[0] in "−–" or text.strip("0.") == ""
    return text if has_none else f"+{text}"


def write(path: Path, page: str) -> None:
    """Write a page so that there is a whole one under its name at any time, the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because only within a file system is replacing a file one step.
    temporary = path.with_name(f".{path.name[:40]}-{secrets.token_hex(6)}.part")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
