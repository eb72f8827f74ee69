"""The manifest: every line checked, nothing believed that does not hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dspsep.batch._manifest import MANIFEST, Entry, Manifest, sha256_of
from dspsep.errors import DspsepError, InputError


def entry(track="song", **changes):
    fields = {
        "track": track, "record": f"{track}/provenance.json", "input": f"../{track}.mp3",
        "input_sha256": "12" * 32, "settings_sha256": "34" * 32,
        "files": {"drums/kick": f"{track}/kick.flac"}, "files_sha256": {"drums/kick": "56" * 32},
        "record_sha256": "78" * 32, "seconds": 1 / 3, "notices": ("[W_GAIN] quieter",),
    }  # fmt: skip
    return Entry(**{**fields, **changes})


def lines(folder):
    return (folder / MANIFEST).read_bytes().splitlines()


@pytest.mark.core
def test_what_was_appended_is_read(tmp_path):
    manifest = Manifest(tmp_path)
    assert manifest.entries == {}
    odd = entry("naïve – 音", input="../a\udcff\u202e\n'.mp3")
    for one in (entry("a"), entry("b"), entry("a", input_sha256="78" * 32), odd):
        manifest.append(one)
    assert len(lines(tmp_path)) == 4
    again = Manifest(tmp_path)
    assert again.n_damaged == 0
    assert again.entries == manifest.entries
    assert again.entries["a/provenance.json"].input_sha256 == "78" * 32
    assert again.entries[odd.record] == odd


@pytest.mark.core
def test_any_change_of_a_line_is_noticed(tmp_path):
    Manifest(tmp_path).append(entry("a"))
    (line,) = lines(tmp_path)
    for i in range(len(line)):
        changed = line[:i] + bytes([line[i] ^ 1]) + line[i + 1 :]
        (tmp_path / MANIFEST).write_bytes(changed + b"\n")
        manifest = Manifest(tmp_path)
        assert not manifest.entries or manifest.entries == {"a/provenance.json": entry("a")}, changed
    for end in range(1, len(line)):
        (tmp_path / MANIFEST).write_bytes(line[:end])
        assert not Manifest(tmp_path).entries


def test_what_a_killed_process_left_spoils_no_line(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.append(entry("a"))
    manifest.append(entry("b"))
    whole = (tmp_path / MANIFEST).read_bytes()
    (tmp_path / MANIFEST).write_bytes(whole[:-20])
    torn = Manifest(tmp_path)
    assert list(torn.entries) == ["a/provenance.json"]
    torn.append(entry("c"))
    torn.append(entry("d"))
    again = Manifest(tmp_path)
    assert [one.track for one in again.entries.values()] == ["a", "c", "d"]
    assert again.n_damaged == 1


@pytest.mark.parametrize(
    "line",
    [
        b"{}", b"[]", b"1", b"null", b'"x"', b"\xff\xfe", b"\0" * 100, b"{" * 100_000, b"[" * 100_000,
        b'{"checksum": "x"}', b'{"track": "a", "checksum": "x"}', b"x" * 3_000_000,
        b'{"track": NaN, "checksum": "00"}', b'{"seconds": 1' + b"0" * 400 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_entry_is_passed_over(tmp_path, line):
    Manifest(tmp_path).append(entry("a"))
    with (tmp_path / MANIFEST).open("ab") as file:
        file.write(line + b"\n")
    manifest = Manifest(tmp_path)
    manifest.append(entry("b"))
    again = Manifest(tmp_path)
    assert [one.track for one in again.entries.values()] == ["a", "b"]
    assert again.n_damaged >= 1


@pytest.mark.parametrize(
    "changes",
    [
        {"track": "../up"}, {"track": "/up"}, {"track": "a/b"}, {"track": ".."}, {"track": "con"},
        {"track": ""}, {"record": "../up/provenance.json"}, {"record": "/etc/passwd"}, {"record": ""},
        {"record": "a\\b"}, {"files": {"drums/kick": "a/../../up.flac"}},
        {"files": {"drums/kick": "a\0.flac"}}, {"notices": "text"}, {"notices": [1]},
        {"files": {"\x1b[31m": "a.flac"}, "files_sha256": {"\x1b[31m": ""}}, {"record_sha256": None},
        {"track": 3}, {"files": ["a"]}, {"files": {"a": 1}}, {"files": {"other": "x"}}, {"seconds": None},
        {"seconds": "long"}, {"input": None},
    ],
)  # fmt: skip
def test_fields_are_checked(changes):
    with pytest.raises((TypeError, ValueError)):
        entry(**changes)


@pytest.mark.core
def test_an_entry_holds_while_its_files_do(tmp_path):
    (tmp_path / "song").mkdir()
    file = tmp_path / "song" / "kick.flac"
    file.write_bytes(b"sound")
    record = tmp_path / "song" / "provenance.json"
    record.write_text("{}")
    one = entry(files_sha256={"drums/kick": sha256_of(file)}, record_sha256=sha256_of(record))
    assert one.holds_in(tmp_path)
    record.write_text("")
    assert not one.holds_in(tmp_path)
    record.write_text("{}")
    file.write_bytes(b"sounD")
    assert not one.holds_in(tmp_path)
    file.unlink()
    assert not one.holds_in(tmp_path)
    file.mkdir()
    assert not one.holds_in(tmp_path)


APPEND = """
import sys
from pathlib import Path
from tests.batch.test_manifest import entry
from dspsep.batch._manifest import Manifest
manifest = Manifest(Path(sys.argv[1]))
for i in range(100):
    manifest.append(entry(f"{sys.argv[2]}-{i}"))
"""


def test_several_processes_append_whole_lines(tmp_path):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(tmp_path), name], env=os.environ | {"PYTHONPATH": "."}
        )
        for name in "abc"
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    manifest = Manifest(tmp_path)
    assert len(manifest.entries) == 300
    assert manifest.n_damaged == 0


def test_a_line_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    manifest = Manifest(tmp_path)
    manifest.append(entry("a"))
    original = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: original(descriptor, data[:30]))
        with pytest.raises(DspsepError, match="Is the disk full"):
            manifest.append(entry("b"))
    manifest.append(entry("c"))
    assert [one.track for one in Manifest(tmp_path).entries.values()] == ["a", "c"]
    with pytest.raises(DspsepError, match="could not be written"):
        Manifest(tmp_path / "missing").append(entry("a"))


@pytest.mark.parametrize("make", ["folder", "link", "pipe"])
@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_what_cannot_be_appended_to_is_refused_at_once(tmp_path, make):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    path = tmp_path / MANIFEST
    {"folder": path.mkdir, "link": lambda: path.symlink_to(outside), "pipe": lambda: os.mkfifo(path)}[make]()
    with pytest.raises(
        InputError, match=r"^--output must be a folder whose manifest\.jsonl can be written to"
    ):
        Manifest(tmp_path)
    assert outside.read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices of POSIX")
def test_only_regular_files_are_hashed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            sha256_of(path)


def test_a_manifest_of_others_is_told_from_ours(tmp_path):
    assert not Manifest.is_in(tmp_path)
    (tmp_path / MANIFEST).write_text('{"audio_filepath": "a.wav", "duration": 1.0}\n')
    assert not Manifest.is_in(tmp_path)
    (tmp_path / MANIFEST).unlink()
    Manifest(tmp_path).append(entry())
    assert Manifest.is_in(tmp_path)


def test_a_line_is_json_that_others_can_read(tmp_path):
    Manifest(tmp_path).append(entry("a"))
    (line,) = lines(tmp_path)
    assert json.loads(line)["files"] == {"drums/kick": "a/kick.flac"}
