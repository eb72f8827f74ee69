"""Names that want more than to be names: of sources, tracks and folders; in files, on pages, on terminals."""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter

import numpy as np
import pytest
import soundfile

from dspsep import Sources, load
from dspsep.cli import main
from dspsep.data.files import safe_file_name, save, separate_file
from dspsep.display import write_page
from tests.data.test_separate_file import Halves, song
from tests.data.test_source_files import check
from tests.display.test_page import Parsed, assert_harmless

NAMES = [
    # Out of the folder.
    "../up", "../../../../etc/passwd", "..\\up", "..\\..\\windows\\system32", "a/../../up", "a\\..\\..\\up",
    "/etc/passwd", "//host/share", "C:\\up", "C:up", "c:/up", "\\\\host\\share\\up", "\\\\?\\C:\\up",
    "\\\\.\\COM1", "file:///etc/passwd", "%2e%2e%2fup", "..%2fup", "..%5cup", "%252e%252e%252fup", "..;/up",
    "\u2024\u2024/up", "\uff0e\uff0e\uff0fup", "..\u2215up", "~", "~root", "~/up", "$HOME/up", "%TEMP%\\up",
    ".", "..", "...", "", " ", "/", "\\",
    # Hidden, or taken already.
    ".hidden", ".dspsep-x.part", ".dspsep-0123456789abcdef.part", "provenance", "provenance.json", "manifest",
    "manifest.json", "PROVENANCE", "index.html", "harmonic", "harmonic.wav",
    # The end of the name, or of the line.
    "nul\x00byte", "\x00", "kick.wav\x00.txt", "two\nlines", "two\r\nlines", "back\b\b\b\b", "tab\tbed",
    "\u2028", "\u2029", "\x85", "\x7f",
    # What terminals obey.
    "\x1b[31mred", "\x1b]0;title\x07", "\x1b[2J\x1b[H", "\x9b31m", "\x07", "\x1bP$q\x1b\\",
    # What only looks like something else.
    "\u202egnp.exe", "\u2066x\u2069", "x\u200by", "x\u200d", "\ufeffx", "x\u00ad", "\u061cx", "\u3164",
    "\U000e0041", "\u0430dmin",
    # Devices and other habits of Windows.
    "CON", "con", "con.flac", "Con .x", "NUL", "nul.tar.gz", "AUX", "PRN", "COM1", "COM\u00b9", "com1.wav",
    "LPT9", "lpt\u00b3.x", "CONIN$", "CONOUT$", "CLOCK$", "end.", "end ", "end. .", "stream:hidden",
    "a::$DATA", "what?", "every*", "a<b>", 'say "x"', "pipe|", "a" * 300, "a" * 254 + ".b",
    # Many bytes, and the same to the eye.
    "🎵" * 300, "😀" * 64, "é" * 150, "e\u0301" * 150, "Z\u0351\u036b\u0343" * 40, "caf\u00e9", "cafe\u0301",
    "Kick", "kick", "KICK", "\u212bngstr\u00f6m", "\u00c5ngstr\u00f6m", "stra\u00dfe", "STRASSE", "\u0130",
    "i\u0307", "\ufb01", "fi", "👨\u200d👩\u200d👧", "\ud800", "\udfff\ud800", "\udc80",
    # Options, shells, templates.
    "-rf", "--help", "-", "--", "-o", "@file", "$(rm -rf .)", "`rm -rf .`", "; rm -rf .", "| rm", "&& rm &",
    "> out", "'; DROP TABLE x; --", "'quoted'", "*", "[a-z]", "{a,b}", "!!", "#", "$IFS", "${x}", "a b  c",
    "%s%s%n", "{0.__class__}", "{{7*7}}", "<%= 7 %>", "=1+1", "__proto__", "None", "null", "constructor",
    # Pages.
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>",
    '" onload="alert(1)', "' autofocus onfocus='alert(1)", "</title><h1>x</h1>", "--><b>x</b><!--", "]]><b>",
    "&lt;b&gt;", "&#60;b&#62;", "javascript:alert(1)", "<a href='//x.example'>", "</style><style>*{}",
    "<template><b>",
]  # fmt: skip

SAMPLES = 40


def test_there_are_many_and_all_differ():
    assert len(set(NAMES)) == len(NAMES) >= 60


@pytest.fixture(scope="module")
def sources():
    """One source for each name: whole numbers, so that their sum is exact in any order."""
    rng = np.random.default_rng(0)
    audio = {name: rng.integers(-4, 5, (2, SAMPLES)).astype("float32") / 2048 for name in NAMES}
    return Sources(audio, 8000)


def is_plain(text):
    """Tell whether a terminal would only show this."""
    return all(line.isprintable() for line in text.split("\n"))


def everything_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def check_set(paths, folder, mixture):
    """Check that the files of all names are in the folder, are its only files, and sum to the mixture."""
    assert list(paths) == NAMES
    assert {path.parent for path in paths.values()} == {folder}
    files = [path.name for path in paths.values()]
    for path in paths.values():
        check(path.stem)
        assert not path.is_symlink()
    same = {unicodedata.normalize("NFC", file.casefold()) for file in [*files, "provenance.json"]}
    assert len(same) == len(NAMES) + 1
    assert everything_below(folder.parent) == sorted(
        [folder.name, *(f"{folder.name}/{file}" for file in [*files, "provenance.json"])]
    )
    np.testing.assert_array_equal(sum(load(path)[0] for path in paths.values()), mixture)
    text = (folder / "provenance.json").read_bytes().decode("ascii")
    assert json.loads(text)["files"] == {name: path.name for name, path in paths.items()}
    assert is_plain(text)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_names_of_sources_in_a_folder(tmp_path, sources, format):
    folder = tmp_path / "in" / "stems"
    paths = sources.save(folder, format=format)
    check_set(paths, folder, sources.mixture())
    # Once more into the same folder: the same names, and nothing beside them.
    assert sources.save(folder, format=format) == paths
    check_set(paths, folder, sources.mixture())


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_each_name_alone(tmp_path, name):
    audio = np.full(SAMPLES, 0.25, "float32")
    folder = tmp_path / "in" / "stems"
    paths = Sources({name: audio}, 8000).save(folder)
    (path,) = paths.values()
    assert path.parent == folder
    check(path.stem)
    np.testing.assert_array_equal(load(path)[0], audio[None, :])
    assert everything_below(tmp_path) == sorted(
        ["in", "in/stems", f"in/stems/{path.name}", "in/stems/provenance.json"]
    )


class Hostile(Halves):
    """All names, the first of which has the mixture."""

    @property
    def source_names(self):
        return tuple(NAMES)

    def separate(self, mixture, sample_rate, *, callback=None):
        audio = {name: mixture if name == NAMES[0] else 0 * mixture for name in NAMES}
        return Sources(audio, sample_rate, None, self.provenance())


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_names_of_sources_of_a_file(tmp_path, format):
    path = song(tmp_path, n_channels=1, seconds=0.1)
    mixture = np.round(load(path)[0] * 2**15) / 2**15
    soundfile.write(path, mixture.T, 8000, subtype="FLOAT")
    folder = tmp_path / "in" / "stems"
    saved = separate_file(path, folder, Hostile(), format=format)
    assert saved.in_blocks
    check_set(saved.paths, folder, mixture)


def test_names_on_a_page(tmp_path):
    def page_of(names):
        audio = {name: np.full(1, 0.1, "float32") for name in names}
        path = write_page(
            tmp_path / "page.html", mixture=sum(audio.values()), sources=audio, sample_rate=8000, title="x",
            scores={name: {"SI-SDR (dB)": 1.0} for name in names},
        )  # fmt: skip
        return Parsed(path.read_bytes().decode("utf-8"))

    parsed = page_of(NAMES)
    assert_harmless(parsed)
    assert parsed.strays == []
    assert parsed.open == []
    # A page of two plain names has what one name adds to a page.
    one, two, many = (
        Counter((tag, *attributes) for tag, attributes in page.elements)
        for page in (page_of(["a"]), page_of(["a", "b"]), parsed)
    )
    assert many == {kind: one[kind] + (len(NAMES) - 1) * (two[kind] - one[kind]) for kind in two}
    shown = [audio["aria-label"] for audio in parsed.all("audio")]
    assert shown[1 + NAMES.index("<svg onload=alert(1)>")] == "Sound of <svg onload=alert(1)>"
    text = parsed.content("bdi", "th", "h3")
    assert "Mixture" in text
    assert not {char for char in text if unicodedata.category(char) in ("Cc", "Cs")} - {"\n", "\t"}


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
def test_a_name_that_is_no_unicode_can_be_read(tmp_path, extension):
    # As discs and archives of the time before UTF-8 have them.
    path = tmp_path / os.fsdecode(b"caf\xe9." + extension.encode())
    plain = song(tmp_path, n_channels=1, name=f"song.{extension}")
    try:
        plain.rename(path)
    except OSError:
        pytest.skip("names are Unicode here")
    assert load(path)[0].shape == (1, 50_400)
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    saved = separate_file(path, folder, Halves())
    assert saved.n_samples == 50_400
    assert load(saved.paths["other"])[0].shape == (1, 50_400)
    assert load(save(folder / path.name, np.zeros((1, 80)), 8000))[0].shape == (1, 80)


# --- on the command line ---

posix = pytest.mark.skipif(os.name != "posix", reason="such names are not to be had here")


def make(folder, name, content):
    """Write a file of that name, with what it needs around it; return its path, or None if it cannot be."""
    path = folder / f"{name}.wav"
    inside = os.path.normpath(path).startswith(f"{folder}{os.sep}")
    if not inside or "\0" in name:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except (OSError, UnicodeEncodeError):
        return None
    return path


@pytest.fixture
def hostile_tracks(tmp_path):
    """A folder with a track for each name that the system can hold."""
    folder = tmp_path / "music"
    folder.mkdir()
    plain = song(tmp_path, n_channels=1, seconds=0.05)
    content = plain.read_bytes()
    plain.unlink()
    given = (make(folder, name, content) for name in NAMES)
    made = {os.fspath(path): path for path in given if path is not None}
    if len(made) < 60:
        pytest.skip("a file system that holds few of these names")
    return folder, list(made.values())


def folders_in(folder):
    return [path for path in folder.iterdir() if path.is_dir()]


@posix
def test_names_of_tracks(hostile_tracks, tmp_path, capsys):
    folder, made = hostile_tracks
    before = everything_below(folder)
    hidden = [path for path in made if any(part.startswith(".") for part in path.relative_to(folder).parts)]
    out = tmp_path / "out"
    assert main(["separate", str(folder), *map(str, hidden), "-p", "n_fft=256", "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert is_plain(said.out)
    assert said.err == ""
    assert everything_below(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["music", "out"]
    assert [path.name for path in out.iterdir()] == ["hpss"]
    tracks = folders_in(out / "hpss")
    assert len(tracks) == len(made)
    for track in tracks:
        check(track.name)
        assert everything_below(track) == ["harmonic.flac", "percussive.flac", "provenance.json"]


@posix
def test_names_of_tracks_as_json(hostile_tracks, tmp_path, capsys):
    _, made = hostile_tracks
    out = str(tmp_path / "out")
    assert main(["separate", *map(str, made), "-p", "n_fft=256", "-o", out, "--json"]) == 0
    said = capsys.readouterr()
    assert is_plain(said.out)
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in made]
    assert len({line["folder"] for line in lines}) == len(made)


@posix
def test_names_of_tracks_that_cannot_be_read(hostile_tracks, tmp_path, capsys):
    _, made = hostile_tracks
    for path in made:
        path.write_bytes(b"no audio at all")
    assert main(["separate", *map(str, made), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert is_plain(said.out)
    assert is_plain(said.err)
    assert len(said.err.splitlines()) == len(made) + 1
    assert list((tmp_path / "out" / "hpss").iterdir()) == []


@posix
def test_names_that_look_like_options(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content = song(tmp_path, n_channels=1, seconds=0.05).read_bytes()
    names = ["-rf.wav", "--help.wav", "-o.wav", "--.wav", "-.wav", "--output=x.wav"]
    for name in names:
        (tmp_path / name).write_bytes(content)
    for out, arguments in (("a", ["separate"]), ("b", [])):
        assert main([*arguments, "-p", "n_fft=256", "-o", out, "--", *names]) == 0
        folders = [path.name for path in folders_in(tmp_path / out / "hpss")]
        assert len(folders) == len(names)
        for folder in folders:
            check(folder)
    assert main(["--", names[0]]) == 0
    assert is_plain(capsys.readouterr().out)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([
        *names, "song.wav", "a", "b", "separated",
    ])  # fmt: skip


@posix
@pytest.mark.parametrize(
    "name",
    ["-out", "o u t", "\x1b[31mred", "two\nlines", "\u202etuo", "音楽", "$(reboot)", "`id`", "a;b|c&d", "'",
     '"', "~", "~root", "*", "<b>", "%s", "{0.__class__}", "out.wav", "CON", "end.", "e\u0301", "🎵" * 60],
)  # fmt: skip
def test_names_of_output_folders(tmp_path, monkeypatch, capsys, name):
    # Whoever asks for a folder gets that folder, as it is called.
    monkeypatch.chdir(tmp_path)
    song(tmp_path, n_channels=1, seconds=0.05)
    assert main(["song.wav", "-p", "n_fft=256", f"--output={name}"]) == 0
    said = capsys.readouterr()
    assert is_plain(said.out)
    assert said.err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "song.wav"])
    assert everything_below(tmp_path / name / "hpss" / "song") == [
        "harmonic.flac", "percussive.flac", "provenance.json",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a" * 300, "song.wav"])
def test_output_folders_that_cannot_be(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    song(tmp_path, n_channels=1, seconds=0.05)
    assert main(["song.wav", "-p", "n_fft=256", f"--output={name}"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("dspsep: --output must be a folder that can be written to; got")
    assert is_plain(said.err)
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


def test_a_name_of_its_own_is_safe_already():
    # What was made safe stays as it is: a second round, as of files that were copied, changes nothing.
    for name in NAMES:
        assert safe_file_name(safe_file_name(name)) == safe_file_name(name)
