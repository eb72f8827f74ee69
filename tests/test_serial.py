"""Stored settings and models: they come back equal, and hostile ones run no code and raise one error."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dspsep
from dspsep import (
    HPSS,
    STFT,
    FrozenArray,
    HPSSModel,
    InputError,
    Separator,
    Split,
    _serial,
    from_json,
    load_model,
)

MODEL = HPSSModel(harmonic_frames=9, percussive_bins=5, mask="soft", power=2.0, margin=(1.0, 2.5))


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def stored(tmp_path):
    """Return the path of a stored model."""
    path = tmp_path / "model.npz"
    MODEL.save(path)
    return path


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def header(text):
    return npy(np.frombuffer(text.encode(), np.uint8))


# ---- what was stored comes back


@pytest.mark.core
@given(
    st.floats(1e-3, 1e3), st.one_of(st.floats(1, 1e6), st.tuples(st.integers(1, 9), st.floats(1, 9))),
    st.one_of(st.none(), st.floats(1e-6, 1e3)), st.sampled_from(["soft", "hard"]),
)  # fmt: skip
def test_settings_come_back(power, margin, seconds, mask):
    hpss = HPSS(
        stft=STFT(64, 10, ("kaiser", 8.6)), power=power, margin=margin, harmonic_seconds=seconds, mask=mask
    )
    again = from_json(hpss.to_json())
    assert again == hpss
    assert repr(again) == repr(hpss)
    assert HPSS.from_json(hpss.to_json()) == hpss
    assert Separator.from_json(hpss.to_json()) == hpss


@pytest.mark.parametrize(
    "hpss",
    [
        HPSS(power=np.float64(3.5)),
        HPSS(power=np.float32(3.5)),
        HPSS(harmonic_frames=np.int64(17), percussive_bins=np.int32(9)),
        HPSS(margin=(np.float32(1.5), np.int64(2))),
        HPSS(stft=STFT(64, window=("gaussian", np.float32(10.0)))),
    ],
    ids=lambda hpss: f"{hpss.power}-{hpss.harmonic_frames}-{hpss.margin}-{hpss.stft.window}",
)
def test_settings_from_numpy_come_back(hpss):
    assert from_json(hpss.to_json()) == hpss
    assert eval(repr(hpss), {"HPSS": HPSS, "STFT": STFT}) == hpss
    assert "np." not in repr(hpss)


@pytest.mark.core
def test_text_is_plain_json_of_registered_types():
    plain = json.loads(HPSS(margin=(1.0, 2.0)).to_json())
    assert plain["type"] == "HPSS"
    assert plain["stft"] == {"type": "STFT", "n_fft": 2048, "hop_length": 512, "window": "hann"}
    assert plain["margin"] == [1.0, 2.0]


@pytest.mark.core
def test_few_settings_are_enough():
    assert from_json('{"type": "HPSS"}') == HPSS()
    assert from_json('{"type": "HPSS", "power": 1}') == HPSS(power=1)
    assert HPSS.from_json(b'{"type": "HPSS"}') == HPSS()


@pytest.mark.core
def test_models_come_back(stored):
    assert load_model(stored) == MODEL
    assert load_model(str(stored)) == MODEL
    assert {path.name for path in stored.parent.iterdir()} == {"model.npz"}
    with np.load(stored, allow_pickle=False) as file:
        assert json.loads(file["header"].tobytes())["type"] == "HPSSModel"


def test_saving_again_replaces_and_failing_leaves_what_was(stored, monkeypatch):
    other = HPSSModel(harmonic_frames=3, percussive_bins=3, mask="hard", power=1.0, margin=1.0)
    other.save(stored)
    assert load_model(stored) == other
    monkeypatch.setattr(np, "savez", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        MODEL.save(stored)
    assert load_model(stored) == other
    assert {path.name for path in stored.parent.iterdir()} == {"model.npz"}


@pytest.mark.core
@pytest.mark.parametrize("values", [[0.1, 0.2, 1.0, 0.5], np.arange(1, 5), np.ones(4, np.float32)], ids=str)
def test_arrays_go_into_the_text_or_beside_it(values, tmp_path):
    hpss = HPSS(stft=STFT(4, 1, values), margin=2.0)
    assert HPSS.from_json(hpss.to_json()) == hpss
    _serial.write_npz(tmp_path / "settings.npz", hpss)
    again = _serial.read_npz(tmp_path / "settings.npz")
    assert again == hpss
    assert isinstance(again.stft.window, FrozenArray)
    assert again.stft.window.values.dtype == np.float64


@pytest.mark.core
@pytest.mark.parametrize(
    "value", [np.inf, -np.inf, 1e-320, 0.1, -0.0, 12345678901234567890, True, None, "é\u2028\U0001f941"]
)
def test_every_number_and_text_comes_back(value):
    again = _serial.loads(_serial.dumps((value,)))
    assert again == (value,)
    assert repr(again) == repr((value,))


def test_nan_comes_back():
    (value,) = _serial.loads(_serial.dumps((np.nan,)))
    assert value != value


def test_mappings_keep_their_keys_and_order():
    mapping = {"b": (1, 2.5), "a": {"type": "HPSS"}, "": None}
    again = _serial.loads(_serial.dumps(mapping))
    assert again == mapping
    assert list(again) == list(mapping)


def test_what_is_code_cannot_be_stored():
    @dataclass(frozen=True, kw_only=True)
    class Mine(Separator):
        power: float = 1.0
        source_names = ("a",)

        def separate(self, mixture, sample_rate, *, callback=None):
            raise NotImplementedError

    for separator in (Mine(), Split({"a": Mine()})):
        with pytest.raises(InputError, match=r"^settings must be numbers, .*; got a Mine"):
            separator.to_json()


# ---- hostile text


@pytest.mark.core
@pytest.mark.parametrize(
    "text",
    [
        "", "{", "nan", "[" * 100_000, '{"a":' * 100_000, "1" * 6000, b"\xff\xfe\x00", '"HPSS"', "5",
        "null", "true",
        "[]", "{}", '[{"type": "HPSS"}]', '{"type": null}', '{"type": 5}', '{"type": ["HPSS"]}',
        '{"type": {}}',
        '{"type": "hpss"}', '{"type": "os.system", "command": "true"}',
        '{"type": "FrozenArray", "values": [1]}',
        '{"type": "HPSS", "nothing": 1}', '{"type": "HPSS", "power": "2"}',
        '{"type": "HPSS", "power": 1e999}',
        '{"type": "HPSS", "power": NaN}', '{"type": "HPSS", "mask": "x"}',
        '{"type": "HPSS", "stft": {"type": "HPSS"}}',
        '{"type": "HPSS", "power": {"type": "float", "value": "nan"}}', '{"type": "HPSS", "self": 1}',
        '{"type": "STFT"}', '{"type": "STFT", "n_fft": 1}', '{"type": "STFT", "window": ["tukey", [[]]]}',
        '{"type": "STFT", "window": {"type": "FrozenArray", "name": "array_0"}}',
        '{"type": "STFT", "window": {"type": "array", "name": "../x"}}',
        '{"type": "HPSSModel", "harmonic_frames": 3}', '{"type": "Pipeline"}',
        '{"type": "Pipeline", "steps": 5}',
        '{"type": "Pipeline", "steps": []}',
        '{"type": "Pipeline", "steps": [{"type": "Pipeline", "steps": []}]}',
        '{"type": "Regroup", "groups": 5}', '{"type": "Split", "separators": 5}', None, 5,
    ],
    ids=lambda text: repr(text)[:60],
)  # fmt: skip
def test_other_text_is_an_input_error(text):  # and what is no text at all
    with pytest.raises(InputError, match=r" must be .+; got .+\."):
        from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "mapping", "items": 5}', '{"type": "mapping", "items": ["a"]}',
        '{"type": "mapping", "items": [[1]]}',
        '{"type": "mapping", "items": [[{"type": "mapping"}, 1]]}', '{"type": "float", "value": "x"}',
        '{"type": "float"}', '{"type": "Split", "separators": ["abc"]}',
        '{"type": "Regroup", "groups": ["abc"]}',
        '{"type": "HPSS", "margin": [{"type": "float", "value": "x"}, 1]}',
    ],
)  # fmt: skip
def test_text_broken_inside_is_an_input_error(text):
    with pytest.raises(InputError):
        from_json(text)


def test_text_of_another_class_is_refused():
    with pytest.raises(InputError, match=r"the JSON of a Pipeline; got that of a HPSS"):
        dspsep.Pipeline.from_json(HPSS().to_json())
    with pytest.raises(InputError, match=r"the JSON of a separator or a refiner; got a STFT"):
        from_json(_serial.dumps(STFT(64)))


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["type", "stft", "power", "margin", "steps", "n_fft", "window",
        "a"]), inner),
        st.dictionaries(
            st.just("type"), st.sampled_from(["HPSS", "STFT", "Pipeline", "HPSSModel"]), min_size=1
        ),
    ),
))  # fmt: skip
def test_any_json_is_a_separator_or_an_input_error(plain):
    try:
        value = from_json(json.dumps(plain))
    except InputError:
        return
    assert isinstance(value, (dspsep.Separator, dspsep.Refiner))


# ---- hostile files


@pytest.mark.core
def test_a_pickle_in_the_archive_is_not_run(stored, tmp_path):
    text = _serial.dumps(MODEL)
    bomb = io.BytesIO()
    exploded = tmp_path / "exploded"
    np.save(bomb, np.array([Bomb(exploded)], object), allow_pickle=True)
    whole = pickle.dumps(Bomb(exploded))
    files = {
        "object array": archive(
            tmp_path / "1.npz", {"header.npy": header(text), "array_0.npy": bomb.getvalue()}
        ),
        "object header": archive(tmp_path / "2.npz", {"header.npy": bomb.getvalue()}),
        "bare pickle": archive(tmp_path / "3.npz", {"header.npy": whole}),
        "pickle beside": archive(tmp_path / "4.npz", {"header.npy": header(text), "data.pkl": whole}),
    }
    (tmp_path / "5.npz").write_bytes(whole)
    files["only a pickle"] = tmp_path / "5.npz"
    for path in files.values():
        with pytest.raises(InputError, match=r"^path must be"):
            load_model(path)
    assert not exploded.exists()
    np.load(tmp_path / "1.npz", allow_pickle=True)["array_0"]  # it is a bomb: numpy alone would run it
    assert exploded.exists()


@pytest.mark.core
def test_truncated_files_are_an_input_error(stored):
    whole = stored.read_bytes()
    for length in sorted({*range(0, len(whole), 7), len(whole) - 1}):
        stored.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"^path must be an .npz file that dspsep wrote") as info:
            load_model(stored)
        assert "model.npz" in str(info.value)


def test_changed_bytes_are_an_input_error_or_no_matter(stored):
    whole = stored.read_bytes()
    for position in range(len(whole)):
        for change in (0x01, 0x80, 0xFF):
            stored.write_bytes(whole[:position] + bytes([whole[position] ^ change]) + whole[position + 1 :])
            try:
                model = load_model(stored)
            except InputError:
                continue
            assert model == MODEL


@pytest.mark.core
def test_files_of_others_are_an_input_error(tmp_path):
    np.savez(tmp_path / "arrays.npz", a=np.ones(3))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    archive(tmp_path / "zip.npz", {"header.npy": b"hello"})
    archive(tmp_path / "json.npz", {"header": _serial.dumps(MODEL)})
    archive(tmp_path / "number.npz", {"header.npy": npy(np.float64(5))})
    archive(tmp_path / "nothing.npz", {})
    for path in tmp_path.iterdir():
        with pytest.raises(InputError) as info:
            load_model(path)
        assert info.value.name in ("path", "text"), path.name


def test_an_array_file_is_an_input_error(tmp_path):
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(InputError, match=r"^path must be"):
        load_model(tmp_path / "array.npy")


def test_an_array_that_says_it_is_enormous_is_an_input_error(tmp_path):
    shape = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000000,), }".ljust(117) + b"\n"
    claim = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(shape)) + shape
    archive(tmp_path / "huge.npz", {"header.npy": header(_serial.dumps(MODEL)), "array_0.npy": claim})
    with pytest.raises(InputError, match=r"^path must be"):
        load_model(tmp_path / "huge.npz")


def test_a_huge_header_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_serial, "_MAX_HEADER_BYTES", 1000)
    archive(tmp_path / "long.npz", {"header.npy": header(_serial.dumps(MODEL) + " " * 1000)})
    with pytest.raises(InputError, match=r"a header of more than"):
        load_model(tmp_path / "long.npz")


@pytest.mark.core
def test_paths_that_lead_nowhere(tmp_path):
    for path in (tmp_path / "nothing.npz", tmp_path):
        with pytest.raises(InputError, match=r"^path must be a file that dspsep wrote; got nothing at"):
            load_model(path)


def test_separators_are_not_models(tmp_path):
    _serial.write_npz(tmp_path / "hpss.npz", HPSS())
    with pytest.raises(InputError, match=r"^path must be a model of dspsep; got a HPSS"):
        load_model(tmp_path / "hpss.npz")


def test_recursion_limits_are_left_alone():
    limit = sys.getrecursionlimit()
    with pytest.raises(InputError):
        from_json("[" * 100_000)
    assert sys.getrecursionlimit() == limit


@pytest.mark.core
@pytest.mark.parametrize(
    "settings",
    [
        {"harmonic_frames": -2}, {"harmonic_frames": 0}, {"percussive_bins": 4}, {"percussive_bins": "31"},
        {"harmonic_frames": 10**9 + 1}, {"mask": "evil"}, {"power": -1}, {"margin": 0.1},
        {"margin": [1, 2, 3]},
        {"power": {"type": "float", "value": "nan"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_stored_model_is_checked_before_it_reaches_the_kernels(settings, tmp_path):
    # With lengths below 1, compiled code wrote outside of its arrays.
    plain = {
        "harmonic_frames": 31,
        "percussive_bins": 31,
        "mask": "soft",
        "power": 2,
        "margin": 1,
        **settings,
    }
    text = json.dumps({"type": "HPSSModel", **plain})
    path = archive(tmp_path / "model.npz", {"header.npy": header(text)})
    with pytest.raises(InputError):
        load_model(path)


def test_arrays_that_hold_no_numbers_are_refused(tmp_path):
    members = {"header.npy": header(_serial.dumps(MODEL)), "array_0.npy": npy(np.array(["text"]))}
    with pytest.raises(InputError, match=r"an array of <U4"):
        load_model(archive(tmp_path / "text.npz", members))
