"""Decoding in a process of its own: the same results, and nothing that the child does harms the parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from dspsep.data import _isolated, _reading
from dspsep.data._reading import Span, opened
from dspsep.data.files import load, save
from dspsep.errors import DspsepWarning, InputError
from tests.data.test_files import tone

pytest.importorskip("resource", reason="limits of a process are POSIX's")


def outcome(path, **options):
    """Return all that `load` says of a file: bytes, rate and warnings, or its error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            samples, rate = load(path, **options)
        except InputError as error:
            return (error.name, error.requirement, str(error.got), error.remedy, str(error))
    return samples.shape, samples.tobytes(), rate, [(str(w.message), w.filename) for w in caught]


# --- the same results ---

DAMAGE = {
    "whole": lambda data: data,
    "cut": lambda data: data[: int(0.6 * len(data))],
    "a head": lambda data: data[:50],
    "noise within": lambda data: data[: len(data) // 2] + b"\xa5" * 3000 + data[len(data) // 2 + 3000 :],
    "no audio": lambda data: b"MThd" + data,
}
PARTS = [{}, {"mono": True}, {"offset": 0.7, "duration": 0.9}, {"offset": 60.0}, {"sample_rate": 22050}]


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_results_warnings_and_errors_are_the_same(tmp_path, extension, damage):
    path = save(tmp_path / f"a.{extension}", tone(2, 2.0), 44100)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    for options in PARTS if damage == "whole" else PARTS[:1]:
        assert outcome(path, isolate=True, **options) == outcome(path, **options), options


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
def test_all_that_a_reader_knows_comes_over(tmp_path, extension):
    path = save(tmp_path / f"a.{extension}", tone(2, 2.0), 44100)
    path.write_bytes(path.read_bytes()[:-100])
    names = ["sample_rate", "n_channels", "n_samples", "slack", "format", "subtype", "notices"]
    known = []
    for opener in (_reading.open_audio, _isolated.IsolatedReader):
        with contextlib.closing(opener(path)) as reader:
            known.append([getattr(reader, name) for name in names])
    assert known[0] == known[1]
    assert known[0][3] == (1152 if extension == "mp3" else 0)


def test_lengths_that_no_header_knows(tmp_path):
    path = save(tmp_path / "a.mp3", tone(2, 2.0), 44100)
    data = path.read_bytes()
    path.write_bytes(data[data.index(b"\xff\xfb", 4) :])
    assert outcome(path, isolate=True) == outcome(path)
    assert outcome(path, isolate=True, offset=30.0) == outcome(path, offset=30.0)


@pytest.mark.parametrize("name", ["a b\n.wav", b"\xff\xfe.wav", "\u202eä.wav", "-c.wav", "x" * 240 + ".wav"])
@pytest.mark.parametrize("content", [None, b"MThd"])
def test_odd_names_from_the_current_folder(tmp_path, monkeypatch, name, content):
    monkeypatch.chdir(tmp_path)
    # The folder one is in is no place to import from.
    Path("numpy.py").write_text("raise SystemExit")
    path = os.fsdecode(name)
    save("a.wav", tone(), 44100).rename(path)
    if content:
        Path(path).write_bytes(content)
    assert outcome(path, isolate=True) == outcome(path)


def test_the_parent_does_not_look_inside(tmp_path, monkeypatch):
    path = save(tmp_path / "a.ogg", tone(), 44100)
    code = (
        "import sys, dspsep; dspsep.load(sys.argv[1], isolate=True);"
        "assert not {'soundfile', 'av', 'dspsep.data._sndfile'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    monkeypatch.setattr(_reading, "content_of", None)
    load(path, isolate=True)


def test_without_limits_it_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.wav", tone(), 44100)
    monkeypatch.setitem(sys.modules, "resource", None)
    with pytest.raises(InputError, match="isolate must be False on this system"):
        load(path, isolate=True)


# --- a child that is not what it should be ---

PRELUDE = """
import json, os, signal, struct, time
def send(kind, content=b"", length=None):
    os.write(1, struct.pack("<cQ", kind, len(content) if length is None else length) + content)
def header(**changes):
    fields = dict(sample_rate=8000, n_channels=2, n_samples=100, slack=0, format="WAV", subtype="PCM_16")
    send(b"H", json.dumps(fields | dict(notices=[]) | changes).encode())
def asked():
    _, length = struct.unpack("<cQ", os.read(1, 9))
    os.read(1, length)
def die(number):
    signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
    os.kill(os.getpid(), number)
asked()
"""


@pytest.fixture
def impostor(tmp_path, monkeypatch):
    """Return a function that loads a file with other code for a child; check that nothing of it stays."""
    path = save(tmp_path / "x.wav", tone(), 44100)
    children = []
    started = _isolated._started
    monkeypatch.setattr(
        _isolated, "_started", lambda channel: children.append(started(channel)) or children[-1]
    )

    def load_with(code, prelude=PRELUDE):
        monkeypatch.setattr(_isolated, "_command", lambda: [sys.executable, "-c", prelude + code])
        return load(path, isolate=True)

    before = open_files()
    yield load_with
    assert children
    assert all(child.returncode is not None for child in children)
    assert open_files() == before


def open_files():
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", r"'.*x\.wav', at which the decoder ended early \(status 0\)"),
        ("os.write(1, b'H')", r"ended early"),
        ("os.write(1, b'no message at all')", "an answer of kind b'n' in place of the header"),
        ("send(b'H', b'{', 100)", "ended early"),
        ("send(b'H', b'{}', 2**40)", "a message of 1099511627776 bytes"),
        ("send(b'H', b'{')", "a message that is not JSON"),
        (r"send(b'H', b'\xff\xfe')", "a message that is not JSON"),
        ("send(b'H', b'[' * 200_000)", "a message that is not JSON"),
        ("send(b'H', b'9' * 200_000)", "a message that is not JSON|other fields"),
        ("send(b'H', b'{}')", "a header of other fields"),
        ("send(b'H', b'[]')", "a header of other fields"),
        ("header(more=1)", "a header of other fields"),
        ("header(n_channels=True)", "n_channels = 'True'"),
        ("header(n_channels='2')", "n_channels = '2'"),
        ("header(n_channels=-2)", "n_channels = '-2'"),
        ("header(n_channels=0)", "audio of 1 to 64 channels"),
        ("header(n_channels=65)", "audio of 1 to 64 channels"),
        ("header(sample_rate=float('nan'))", "sample_rate = 'nan'"),
        ("header(sample_rate=10**6)", "audio at 1 to 768000 Hz"),
        ("header(n_samples=0)", "audio of at least one sample"),
        ("header(n_samples=2**64)", "n_samples = '18446744073709551616'"),
        ("header(slack=10**9)", "slack = '1000000000'"),
        (r"header(format='\x1b[31m')", "a sentence that cannot be shown"),
        ("header(subtype=7)", "a sentence that cannot be shown"),
        ("header(subtype='x' * 100)", "a sentence that cannot be shown"),
        ("header(notices=[['W_GAIN', 'x']])", "notices of another form"),
        ("header(notices=['W_TRUNCATED'])", "notices of another form"),
        ("header(notices=[7])", "notices of another form"),
        ("header(notices=7)", "notices of another form"),
        ("header(notices=[['W_TRUNCATED', 'x']] * 9)", "notices of another form"),
        (r"header(notices=[['W_TRUNCATED', '\x1b[2J']])", "a sentence that cannot be shown"),
        ("send(b'R', b'[1, 2, 3, 4]')", "a sentence that cannot be shown"),
        ("send(b'R', b'[\"a\"]')", "an error of other parts"),
        (r"send(b'R', json.dumps(['a', 'b', 'c\x1b', 'd']).encode())", "a sentence that cannot be shown"),
        ("send(b'R', json.dumps(['a', 'b', 'c', 'd']).encode())", r"^a must be b; got c\. d$"),
        ("send(b'F', json.dumps(['TypeError', 'no']).encode())", r"the decoder failed \(TypeError: no\)"),
        ("send(b'M')", "more than 1 GiB of memory"),
        ("die(signal.SIGSEGV)", r"the decoder crashed \(signal 11\)\. The file is damaged, or made to do"),
        ("die(signal.SIGABRT)", r"the decoder crashed \(signal 6\)"),
        ("die(signal.SIGKILL)", r"the system ended the decoder \(signal 9\)"),
        ("os.close(1); time.sleep(60)", "the decoder sent the end of all answers"),
    ],
)
def test_a_header_is_not_believed(impostor, code, message):
    begun = time.monotonic()
    with pytest.raises(InputError, match=message) as caught:
        impostor(code)
    assert str(caught.value).isprintable()
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("send(b'B')", "0 bytes for a block"),
        ("send(b'B', bytes(12))", "12 bytes for a block"),
        ("send(b'B', length=65537 * 8)", "524296 bytes for a block"),
        ("send(b'B', length=2**60)", "1152921504606846976 bytes for a block"),
        ("send(b'B', bytes(808))", "more samples than there are"),
        ("send(b'B', bytes(800)); send(b'B', bytes(8))", "more samples than there are"),
        ("send(b'B', struct.pack('<2f', 0.0, float('nan')) * 100)", "NaN or infinity, first in channel 1"),
        ("send(b'B', struct.pack('<2f', float('inf'), 0.0) * 100)", "NaN or infinity, first in channel 0"),
        ("send(b'H')", "an answer of kind b'H' in place of samples"),
        ("send(b'E', bytes(9))", "an answer of kind b'E' in place of samples"),
        ("send(b'E')", "of which no sample decodes"),
        ("send(b'B', bytes(40), 800); die(signal.SIGSEGV)", r"crashed \(signal 11\)"),
        ("send(b'B', bytes(40), 800)", "ended early"),
        ("send(b'M')", "more than 1 GiB of memory"),
    ],
)
def test_samples_are_not_believed(impostor, code, message):
    with pytest.raises(InputError, match=message):
        impostor(f"header(); asked(); {code}")


def test_too_few_samples_are_announced(impostor):
    with pytest.warns(DspsepWarning, match=r"W_TRUNCATED.*0\.011 s of what its header announces"):
        samples, rate = impostor("header(); asked(); send(b'B', bytes(80)); send(b'E'); time.sleep(60)")
    assert (samples.shape, rate) == ((2, 10), 8000)


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(60)",
        "header(); asked(); time.sleep(60)",
        "send(b'H', length=100); [(time.sleep(0.05), os.write(1, b' ')) for _ in range(99)]",
    ],
    ids=["at once", "after the header", "byte by byte"],
)
def test_a_child_that_sleeps_is_ended(impostor, monkeypatch, code):
    monkeypatch.setattr(_isolated, "MAX_SECONDS", 1)
    monkeypatch.setattr(_isolated, "PATIENCE", 1)
    begun = time.monotonic()
    with pytest.raises(InputError, match="gave no answer in 1 s"):
        impostor(code)
    assert time.monotonic() - begun < 4


# --- its limits ---

INSIDE = """
import json, os, resource, sys
from dspsep.data import _decoder_child, _reading
from dspsep.errors import InputError
right = _reading.open_audio
def opener(path, stream=0):
    {body}
_reading.open_audio = opener
_decoder_child.main()
"""


def inside(body):
    return INSIDE.replace("{body}", body.replace("\n", "\n    "))


@pytest.mark.parametrize("during", ["opening", "decoding"])
def test_native_code_that_writes_where_it_must_not(impostor, during):
    crash = "import ctypes; ctypes.memset(8, 0, 8)"
    if during == "decoding":
        crash = f"class Broken:\n    def __getattr__(self, name): {crash}\nreader = right(path)\n" + (
            "reader.blocks = lambda span: [Broken().sample]\nreturn reader"
        )
    with pytest.raises(InputError, match=r"x\.wav', at which the decoder crashed \(signal 11\)"):
        impostor(inside(crash), "")


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the address space")


@ON_LINUX
def test_a_child_that_wants_memory(impostor):
    with pytest.raises(InputError, match="for which the decoder asked for more than 1 GiB of memory"):
        impostor(inside("bytearray(2**31)"), "")


def test_a_child_that_works_forever(impostor, monkeypatch):
    monkeypatch.setattr(_isolated, "MAX_SECONDS", 1)
    with pytest.raises(InputError, match="the decoder took more than 1 s of processor time"):
        impostor(inside("while True: pass"), "")


def test_a_child_can_write_no_file(impostor, tmp_path):
    with pytest.raises(InputError, match=r"the decoder failed \(OSError: .*File too large"):
        impostor(inside(f"with open({str(tmp_path / 'new')!r}, 'w') as f: f.write('x')"), "")


@ON_LINUX
def test_the_limits_hold_when_the_decoder_begins(impostor):
    names = ["AS", "CPU", "FSIZE", "CORE", "NOFILE", "NPROC"]
    body = (
        f"limits = [resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[0] for name in {names}]\n"
        "loaded = 'soundfile' in sys.modules or 'av' in sys.modules\n"
        "raise InputError('a', 'b', json.dumps([*limits, loaded]))"
    )
    with pytest.raises(InputError) as caught:
        impostor(inside(body), "")
    assert caught.value.got == "[1073741824, 60, 0, 0, 64, 0, false]"


def test_what_decoders_print_does_not_matter(impostor, capfd):
    samples, _ = impostor(inside("os.write(1, b'noise'); os.write(2, b'noise'); return right(path)"), "")
    np.testing.assert_array_equal(samples, tone())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("entry", ["here", ""], ids=["a folder", "the current folder"])
def test_modules_come_from_where_they_come_from_here(impostor, tmp_path, monkeypatch, entry):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "only_here.py").touch()
    monkeypatch.chdir(tmp_path if entry else tmp_path / "here")
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    impostor(inside("import only_here; return right(path)"), "")


def test_an_error_that_nobody_expected_is_told(impostor):
    with pytest.raises(InputError, match=r"the decoder failed \(ZeroDivisionError: .*\)\. Without isolation"):
        impostor(inside("1 / 0"), "")


# --- no child is left ---


def test_leaving_early_ends_the_child(tmp_path):
    path = save(tmp_path / "a.wav", tone(2, 20.0), 44100)
    with opened(path, isolate=True) as excerpt:
        next(excerpt.blocks())
        child = excerpt._reader._child
        assert child.poll() is None
        # Ctrl-C in a terminal goes to the group in front.
        assert os.getpgid(child.pid) != os.getpgid(0)
    assert child.returncode == -signal.SIGKILL


def test_an_interrupt_while_it_starts_ends_the_child(impostor, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_isolated.IsolatedReader, "_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        impostor("time.sleep(60)")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
@pytest.mark.parametrize("busy", [False, True], ids=["waiting", "writing"])
def test_the_child_ends_with_its_parent(tmp_path, busy):
    path = save(tmp_path / "a.wav", tone(2, 20.0), 44100)
    code = f"""
import os, signal, sys
from pathlib import Path
from dspsep.data._isolated import IsolatedReader
from dspsep.data._reading import Span
reader = IsolatedReader(Path(sys.argv[1]))
if {busy}:
    next(reader.blocks(Span(0, None)))
print(reader._child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.monotonic() + 10
    while alive(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_spans_one_after_another(tmp_path):
    path = save(tmp_path / "a.wav", tone(2, 2.0), 44100)
    reader = _isolated.IsolatedReader(path)
    try:
        for start in (60_000, 100):
            blocks = list(reader.blocks(Span(start, 10_000)))
            np.testing.assert_array_equal(np.concatenate(blocks).T, tone(2, 2.0)[:, start : start + 10_000])
    finally:
        reader.close()
