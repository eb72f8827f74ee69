"""From two folders of audio to scores, as a library."""

from __future__ import annotations

import json
import math
import os
import threading
from collections import deque

import numpy as np
import pytest
import soundfile
from threadpoolctl import threadpool_info, threadpool_limits

from dspsep import InputError, evaluate_folders, get_num_threads, load
from dspsep.batch import _scoring, _workers
from dspsep.batch._pairing import TrackFiles
from dspsep.batch._scoring import Evaluation, Scored
from dspsep.batch.evaluation import prepared
from dspsep.data import _isolated
from dspsep.metrics import MIREX, BSSEval, ScaleInvariant, Scores, evaluate
from dspsep.metrics.protocols import named_protocols

RATE = 8000
SOURCES = ("bass", "drums", "vocals")
FAST = "scale_invariant"


def write(path, samples, rate=RATE, subtype="FLOAT"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(samples).T, rate, subtype=subtype)
    return path


def sounds(seed, names=SOURCES, n_samples=2 * RATE, n_channels=2):
    """Return sources whose level changes, so that windows differ."""
    rng = np.random.default_rng(seed)
    swell = 0.1 + 0.05 * np.sin(np.arange(n_samples) / 3000)
    return {name: swell * rng.standard_normal((n_channels, n_samples)) for name in names}


def spoilt(sources, seed=9):
    """Return estimates with some of the others and some noise in each."""
    total, rng = sum(sources.values()), np.random.default_rng(seed)
    return {
        name: audio + 0.1 * (k + 1) * total + 0.002 * rng.standard_normal(audio.shape)
        for k, (name, audio) in enumerate(sources.items())
    }


def make(folder, sources, extension="wav"):
    for name, audio in sources.items():
        write(folder / f"{name}.{extension}", audio, subtype="FLOAT" if extension == "wav" else "PCM_24")


@pytest.fixture
def one(tmp_path):
    """One track: references and estimates in two folders."""
    sources = sounds(0)
    make(tmp_path / "true", sources)
    make(tmp_path / "made", spoilt(sources))
    return tmp_path / "true", tmp_path / "made"


@pytest.fixture
def tree(tmp_path):
    """Three tracks at two depths, with much else in between."""
    true, made = tmp_path / "true", tmp_path / "made"
    for seed, track in enumerate(("b song", "disc 1/a", "z")):
        sources = sounds(seed, n_samples=RATE)
        make(true / track, sources, "flac")
        make(made / track, spoilt(sources))
        write(true / track / "mixture.wav", sum(sources.values()))
        write(made / track / "residual.wav", sources["bass"])
        (made / track / "provenance.json").write_text("{}")
    (made / "manifest.jsonl").write_text("")
    return true, made


def failure(found):
    (message,) = found.failures.values()
    assert found.scores is None or found.scores.n_tracks
    return message


@pytest.mark.core
@pytest.mark.parametrize("protocol", [FAST, BSSEval(n_taps=32, window_seconds=0.5)])
def test_files_are_scored_as_their_samples_are(one, protocol):
    true, made = one
    read = [{name: load(folder / f"{name}.wav")[0] for name in SOURCES} for folder in one]
    found = evaluate_folders(true, str(made), protocol)
    assert found.failures == {}
    assert found.ignored == ()
    assert found.scores == evaluate(*read, RATE, protocol, track="true")
    assert found.scores.sources == SOURCES


@pytest.mark.core
def test_a_tree_is_scored_track_by_track_in_order(tree):
    found = evaluate_folders(*tree, FAST)
    assert found.failures == {}
    assert [track.track for track in found.scores.tracks] == ["b song", "disc 1/a", "z"]
    assert found.scores.sources == SOURCES
    alone = evaluate_folders(tree[0] / "z", tree[1] / "z", FAST).scores
    assert alone.tracks[0] == found.scores.tracks[2]
    # Every track has a mixture, a residual and a record, which is read; the manifest is in no track's folder.
    assert found.ignored == ("mixtures (3)", "residuals (3)")
    (tree[1] / "z/cover.jpg").write_bytes(b"")
    assert "files that are no audio (1)" in evaluate_folders(*tree, FAST).ignored


@pytest.mark.core
def test_any_number_of_jobs_gives_the_same_bytes(tree):
    protocol = BSSEval(n_taps=64, window_seconds=0.5, silence="strict")
    texts = [evaluate_folders(*tree, protocol, n_jobs=n).scores.to_json() for n in (1, 2)]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["tracks"][0]["protocol"]["window_seconds"] == 0.5


def test_linear_algebra_has_one_thread_and_kernels_keep_theirs(one, monkeypatch):
    original, seen = _scoring.evaluate, []

    def evaluate(*given, **more):
        blas = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
        seen.append((blas, get_num_threads()))
        return original(*given, **more)

    monkeypatch.setattr(_scoring, "evaluate", evaluate)
    monkeypatch.delenv("DSPSEP_NUM_THREADS", raising=False)
    with threadpool_limits(2, user_api="blas"):
        before = get_num_threads()
        evaluate_folders(*one, FAST)
    assert seen == [({1}, before)]


def test_names_that_differ_are_given(one):
    true, made = one
    whole = evaluate_folders(true, made, FAST).scores
    (made / "vocals.wav").rename(made / "voice.wav")
    message = failure(evaluate_folders(true, made, FAST))
    assert "estimates must be there for every reference ('bass', 'drums', 'vocals')" in message
    assert "none called 'vocals'" in message
    assert "but 'bass', 'drums', 'voice'" in message
    mapped = evaluate_folders(true, made, FAST, mapping={"vocals": "voice"}).scores
    assert mapped.tracks[0].estimates == ("bass", "drums", "voice")
    assert mapped["vocals"] == whole["vocals"]


def test_estimates_may_add_up(one):
    true, made = one
    total = load(made / "drums.wav")[0] + load(made / "vocals.wav")[0]
    whole = evaluate_folders(true, made, FAST).scores
    write(made / "other.wav", total - sounds(3)["bass"])
    write(made / "rest.wav", sounds(3)["bass"])
    for folder in (true, made):
        (folder / "vocals.wav").unlink()
    write(true / "drums.wav", sounds(0)["drums"] + sounds(0)["vocals"])
    for parts in (["other", "rest"], deque(["other", "rest"])):
        (track,) = evaluate_folders(true, made, FAST, mapping={"drums": parts}).scores.tracks
        assert track.estimates == ("bass", "other + rest")
    write(made / "drums.wav", total)
    (expected,) = evaluate_folders(true, made, FAST).scores.tracks
    np.testing.assert_allclose(track.values, expected.values, atol=1e-4)
    assert whole.sources == SOURCES
    assert "none called 'none'" in failure(
        evaluate_folders(true, made, FAST, mapping={"drums": ["other", "none"]})
    )
    assert evaluate_folders(true, made, FAST, mapping={}, permutation=True).failures == {}


def test_sums_travel_to_other_processes(tree):
    mapping = {"bass": deque(["bass", "drums"])}
    one, two = (evaluate_folders(*tree, FAST, mapping=mapping, n_jobs=n).scores for n in (1, 2))
    assert one == two
    assert one.tracks[0].estimates[0] == "bass + drums"


def record(folder, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "provenance.json").write_text(text)


def test_the_gain_of_files_is_undone(one):
    true, made = one
    references, estimates = ({name: load(folder / f"{name}.wav")[0] for name in SOURCES} for folder in one)
    names = {"bass": "bass.wav", "drums": "drums.wav", "vocals": "vocals.flac"}
    gain = 0.25
    for name in ("bass", "drums"):
        write(made / f"{name}.wav", gain * estimates[name])
    record(made, {"gain": gain, "files": names})
    # What is there is vocals.wav, and the record says nothing of it.
    (track,) = evaluate_folders(true, made, "mdx").scores.tracks
    (expected,) = evaluate(references, estimates, RATE, "mdx").tracks
    np.testing.assert_array_equal(track.values, expected.values)
    assert track.details["gains_undone"] == {"bass": gain, "drums": gain}
    (made / "provenance.json").unlink()
    (track,) = evaluate_folders(true, made, "mdx").scores.tracks
    assert "gains_undone" not in track.details
    assert track.values[0, 0, 0] < expected.values[0, 0, 0] - 3


FILES = {name: f"{name}.wav" for name in SOURCES}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no JSON",
        "[" * 100_000,
        "[]",
        '{"gain": 0.5}',
        {"gain": 0.5, "files": list(FILES.values())},
        {"gain": 0.5, "files": dict.fromkeys(SOURCES, 3)},
        {"gain": 0.5, "files": {"bass": ["bass.wav"]}},
        {"gain": 0.5, "files": {"bass": "elsewhere/bass.wav"}},
        {"gain": "0.5", "files": FILES},
        {"gain": math.nan, "files": FILES},
        {"gain": 10**400, "files": FILES},
        {"gain": 1e-320, "files": FILES},
        {"gain": -0.5, "files": FILES},
        {"gain": 2.0, "files": FILES},
        {"gain": None, "files": FILES},
        {"gain": 0.5, "files": FILES, "long": "x" * 2**20},
    ],
)
def test_records_that_make_no_sense_are_ignored(one, content):
    record(one[1], content)
    (track,) = evaluate_folders(*one, "mdx").scores.tracks
    assert "gains_undone" not in track.details


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_records_that_are_pipes_are_not_waited_for(one):
    os.mkfifo(one[1] / "provenance.json")
    writer = os.open(one[1] / "provenance.json", os.O_RDWR)  # so that whoever reads need not wait to begin
    os.write(writer, json.dumps({"gain": 0.5, "files": FILES}).encode())
    end = threading.Timer(5.0, os.close, [writer])
    end.start()
    (track,) = evaluate_folders(*one, "mdx").scores.tracks
    assert "gains_undone" not in track.details
    end.cancel()
    end.join()
    os.close(writer)


def test_mixtures_are_mixtures_in_any_case(one, tmp_path):
    true, made = one
    write(true / "Mixture.wav", sum(sounds(0).values()))
    write(made / "MIX.wav", sum(sounds(0).values()))
    found = evaluate_folders(true, made, MIREX(n_taps=8))
    assert found.scores.sources == SOURCES
    assert found.scores.tracks[0].details["mixture"] == "a file"
    assert found.ignored == ("mixtures (2)",)
    # The name that separating it gives.
    (tmp_path / "a/song").parent.mkdir()
    true.rename(tmp_path / "a/song")
    (tmp_path / "b").mkdir()
    made.rename(tmp_path / "b/song-Mixture")
    assert evaluate_folders(tmp_path / "a", tmp_path / "b", FAST).scores.n_tracks == 1
    write(tmp_path / "a/song/mixture.flac", sounds(0)["bass"], subtype="PCM_16")
    assert "several called 'mixture'" in failure(evaluate_folders(tmp_path / "a", tmp_path / "b", FAST))


def test_progress_ends_at_its_end(one):
    true, made = one
    write(true / "mix.wav", sum(sounds(0).values()))
    for protocol, n_files in ((MIREX(n_taps=8), 7), (ScaleInvariant(), 6)):
        job, pairing = prepared(
            true, made, protocol, sources=None, mapping=None, permutation=False, pad=False, isolate=False
        )
        seen = []
        job.do(pairing.tracks[0], seen.append)
        read = [(now.iteration, now.n_iterations) for now in seen if now.stage == "read"]
        assert read == [(k + 1, n_files) for k in range(n_files)]


def test_where_else_the_tracks_may_be(tree, tmp_path):
    true, made = tree
    (tmp_path / "sep").mkdir()
    made.rename(tmp_path / "sep/hpss")
    with pytest.raises(InputError, match=r"did you mean '.*sep.*hpss'\?"):
        evaluate_folders(true, tmp_path / "sep")


def test_files_without_folders_of_their_own_are_explained(tree, tmp_path):
    true, _ = tree
    flat = tmp_path / "flat"
    write(flat / "z_vocals.wav", sounds(0)["vocals"])
    with pytest.raises(InputError) as error:
        evaluate_folders(true, flat)
    said = str(error.value)
    assert "with audio in the folder itself. Tracks are matched by the names of their folders: put" in said
    make(true, sounds(0))
    found = evaluate_folders(true, tree[1], FAST)
    assert found.failures["."] == "estimates must be there for every track; got none in the folder itself."
    (flat / "z_vocals.wav").rename(flat / "vocals.wav")
    make(flat / "z", sounds(2, n_samples=RATE))
    (true / "bass.wav").rename(true / "mix.wav")
    for name in SOURCES[1:]:
        (true / f"{name}.wav").unlink()
    assert "tracks without references: the folder itself" in evaluate_folders(true, flat, FAST).ignored


def test_a_mixture_can_be_scored_as_an_estimate(one):
    true, made = one
    write(made / "mixture.wav", sum(sounds(0).values()))
    mapping = dict.fromkeys(SOURCES, "mixture")
    found = evaluate_folders(true, made, FAST, mapping=mapping)
    assert found.scores.tracks[0].estimates == ("mixture",) * 3
    assert found.ignored == ("estimates 'bass', 'drums', 'vocals'",)


def test_estimates_of_blind_methods_are_matched(one):
    true, made = one
    whole = evaluate_folders(true, made, FAST).scores
    for old, new in (("bass", "2"), ("drums", "0"), ("vocals", "1")):
        (made / f"{old}.wav").rename(made / f"{new}.wav")
    # What is left over, and the mixture, are no estimates: they must not be chosen.
    for name in ("residual", "mix"):
        write(made / f"{name}.wav", sounds(0)["vocals"])
    found = evaluate_folders(true, made, FAST, permutation=True)
    assert found.scores.tracks[0].estimates == ("2", "0", "1")
    assert found.scores.protocol["permutation"] is True
    assert found.scores["drums"] == whole["drums"]
    assert found.ignored == ("mixtures (1)", "residuals (1)")


def test_a_residual_among_the_references_is_a_source_like_others(one):
    true, made = one
    for folder in one:
        write(folder / "residual.wav", sounds(5, ["x"])["x"])
    for permutation in (False, True):
        found = evaluate_folders(true, made, FAST, permutation=permutation)
        assert found.scores.sources == (*SOURCES[:2], "residual", "vocals")
        assert found.scores.tracks[0].estimates == found.scores.sources
        assert found.ignored == ()


@pytest.mark.core
def test_what_fails_is_told_and_the_rest_is_scored(tree):
    true, made = tree
    (made / "disc 1/a/drums.wav").unlink()
    for file in (made / "z").iterdir():
        file.unlink()
    make(made / "w", sounds(0))
    write(made / "b song/choir.wav", sounds(0)["vocals"])
    found = evaluate_folders(true, made, FAST)
    assert [track.track for track in found.scores.tracks] == ["b song"]
    assert list(found.failures) == ["disc 1/a", "z"]
    assert "none called 'drums'" in found.failures["disc 1/a"]
    assert found.failures["z"] == "estimates must be there for every track; got none called 'z'."
    assert "estimates 'choir'" in found.ignored
    assert "tracks without references: 'w'" in found.ignored


def test_the_set_of_sources_can_be_chosen_and_is_stored(tree):
    true, made = tree
    (made / "z/drums.wav").unlink()
    found = evaluate_folders(true, made, FAST, sources=["vocals", "bass"])
    assert found.failures == {}
    assert found.scores.protocol["sources"] == ("vocals", "bass")
    assert "references 'drums' of 3 tracks" in found.ignored
    everything = evaluate_folders(true, made, FAST).scores
    assert found.scores.value("bass", "SI-SIR", "z") != everything.value("bass", "SI-SIR", "disc 1/a")
    # What is made of a reference that is left out is left out, too, and not in silence.
    assert "estimates 'drums' of 2 tracks" in found.ignored
    write(true / "z/choir.wav", sounds(0, n_samples=RATE)["bass"])
    found = evaluate_folders(true, made, FAST, sources=iter(["bass", "choir"]))
    assert "none called 'choir'" in found.failures["b song"]


def test_a_track_of_other_sources_is_no_comparison(tree):
    true, made = tree
    for folder in tree:
        (folder / "b song/drums.wav").unlink(missing_ok=True)
        (folder / "b song/drums.flac").unlink(missing_ok=True)
        write(folder / "z/choir.wav", sounds(0, n_samples=RATE)["vocals"])
    found = evaluate_folders(true, made, FAST)
    # Each of the three has a set of its own: the first decides where none is of more tracks.
    assert found.scores.sources == ("bass", "vocals")
    assert "also 'drums'" in found.failures["disc 1/a"]
    assert "also 'choir', 'drums'" in found.failures["z"]
    found = evaluate_folders(true, made, FAST, sources=["bass", "vocals"])
    assert found.scores.n_tracks == 3


def test_a_set_that_most_tracks_have_decides(tree):
    true, made = tree
    (true / "b song/drums.flac").unlink()
    found = evaluate_folders(true, made, FAST)
    assert found.scores.sources == SOURCES
    assert "the same for all tracks ('bass', 'drums', 'vocals')" in found.failures["b song"]


def test_folders_have_the_names_that_separating_gives_them(tree):
    true, made = tree
    (made / "disc 1/a").rename(made / "disc 1-a")
    (made / "z").rename(made / "z-mixture")
    (made / "disc 1").rmdir()
    found = evaluate_folders(true, made, FAST)
    assert [track.track for track in found.scores.tracks] == ["b song", "disc 1/a", "z"]


def test_estimates_may_lie_among_the_references(tree):
    true, made = tree
    made.rename(true / "made")
    found = evaluate_folders(true, true / "made", FAST)
    assert (found.failures, found.scores.n_tracks) == ({}, 3)
    again = evaluate_folders(true / "made", true, FAST, sources=["bass"])
    assert (again.failures, again.scores.n_tracks) == ({}, 3)


@pytest.mark.core
@pytest.mark.parametrize(
    ("audio", "rate", "said"),
    [
        (np.zeros((2, RATE)) + 0.1, RATE, "of 16000 samples as '{}' is; got 8000. A difference may come"),
        (np.zeros((1, 2 * RATE)) + 0.1, RATE, "of 2 channels as '{}' is; got 1 channel."),
        (np.zeros((2, 2 * RATE)) + 0.1, 2 * RATE, "at 8000 Hz as '{}' is; got 16000 Hz."),
    ],
)
def test_files_that_do_not_fit_are_named(one, audio, rate, said):
    true, made = one
    write(made / "drums.wav", audio, rate)
    message = failure(evaluate_folders(true, made, FAST))
    assert message.startswith(f"{str(made / 'drums.wav')!r} must be {said.format(true / 'bass.wav')}")
    write(true / "drums.wav", audio, rate)
    message = failure(evaluate_folders(true, made, FAST))
    assert message.startswith(f"{str(true / 'drums.wav')!r} must be")


def test_lengths_are_fitted_if_that_is_asked_for(one):
    true, made = one
    estimate = load(made / "drums.wav")[0]
    cut = estimate.copy()
    cut[:, -100:] = 0
    write(made / "drums.wav", cut)
    whole = evaluate_folders(true, made, FAST).scores
    write(made / "drums.wav", cut[:, :-100])
    write(made / "bass.wav", np.pad(load(made / "bass.wav")[0], [(0, 0), (0, 50)]))
    assert "--pad" in failure(evaluate_folders(true, made, FAST))
    (track,) = evaluate_folders(true, made, FAST, pad=True).scores.tracks
    assert track.details["padded"] == {"bass": -50, "drums": 100}
    np.testing.assert_array_equal(track.values, whole.tracks[0].values)
    # References are what the length is taken from: they are not fitted.
    write(true / "drums.wav", load(true / "drums.wav")[0][:, :-1])
    assert "of 16000 samples" in failure(evaluate_folders(true, made, FAST, pad=True))


def test_damaged_files_and_numbers_that_are_none(tree):
    true, made = tree
    (made / "z/bass.wav").write_bytes(b"no music at all" * 9)
    broken = load(made / "b song/bass.wav")[0].copy()
    broken[0, 7] = math.nan
    write(made / "b song/bass.wav", broken)
    found = evaluate_folders(true, made, FAST)
    assert list(found.failures) == ["b song", "z"]
    said = (
        f"{str(made / 'b song/bass.wav')!r} must be a file of finite samples; got NaN or infinity, first in"
    )
    assert found.failures["b song"].startswith(said)
    assert "path must be" in found.failures["z"]
    assert str(made / "z/bass.wav") in found.failures["z"]


def test_settings_are_not_taken_for_files(one, monkeypatch):
    monkeypatch.setattr(_isolated, "limited", lambda: False)
    assert failure(evaluate_folders(*one, FAST, isolate=True)).startswith(
        "isolate must be False on this system"
    )


def test_truncated_files_are_scored_and_told(one):
    true, made = one
    data = (made / "bass.wav").read_bytes()
    (made / "bass.wav").write_bytes(data[:-4000])
    with pytest.warns(UserWarning, match=r"\[W_TRUNCATED\] 'true': "):
        found = evaluate_folders(true, made, FAST, pad=True)
    assert found.scores.n_tracks == 1


@pytest.mark.core
def test_silent_stems_by_both_policies(tree):
    true, made = tree
    write(true / "z/drums.flac", np.zeros((2, RATE)), subtype="PCM_24")
    found = evaluate_folders(true, made, FAST)
    assert "audible" in failure(found)
    assert "strict" in failure(found)
    assert found.scores.n_tracks == 2
    found = evaluate_folders(true, made, ScaleInvariant(silence="strict"))
    assert found.failures == {}
    assert math.isnan(found.scores.value("drums", "SI-SDR", "z"))
    assert math.isfinite(found.scores.value("bass", "SI-SDR", "z"))


def test_protocols_that_compare_use_the_mixture_that_is_there(one):
    true, made = one
    protocol = MIREX(n_taps=8)
    implied = evaluate_folders(true, made, protocol).scores
    assert implied.tracks[0].details["mixture"] == "the sum of the references"
    louder = sum(sounds(0).values()) + sounds(4)["bass"]
    write(true / "mix.wav", louder)
    given = evaluate_folders(true, made, protocol).scores
    assert given.tracks[0].details["mixture"] == "a file"
    assert given["bass", "NSDR"] > implied["bass", "NSDR"]
    assert given["bass", "SDR"] == implied["bass", "SDR"]
    # Others do not read it.
    (true / "mix.wav").write_bytes(b"nothing")
    assert "mixture" not in evaluate_folders(true, made, FAST).scores.tracks[0].details
    (true / "mix.wav").unlink()
    found = evaluate_folders(true, made, protocol, sources=["bass", "vocals"])
    assert "with a mixture where not all of them are scored" in failure(found)


def test_two_files_of_one_name_are_not_guessed_at(one):
    true, made = one
    write(made / "bass.flac", sounds(0)["bass"], subtype="PCM_16")
    assert "several called 'bass'" in failure(evaluate_folders(true, made, FAST))
    write(true / "drums.flac", sounds(0)["drums"], subtype="PCM_16")
    assert "references must be one file for each name" in failure(evaluate_folders(true, made, FAST))
    assert evaluate_folders(true, made, FAST, sources=["vocals"]).failures == {}


def test_what_is_hidden_or_linked_is_passed_over(tree):
    true, made = tree
    make(true / ".git", sounds(0))
    write(true / "z/._bass.wav", sounds(0)["bass"])
    try:
        (true / "linked").symlink_to(true / "z", target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links here")
    found = evaluate_folders(true, made, FAST)
    assert (found.scores.n_tracks, found.failures) == (3, {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": 5}, "sources must be different names"),
        ({"sources": [["a"]]}, "sources must be different names"),
        ({"sources": {"bass", "drums"}}, "sources must be different names"),
        ({"sources": ["bass", "choir"]}, "sources must be names of references that some track has"),
        ({"sources": ["bass", "Mixture"]}, "sources must be names of references other than the mixture"),
        ({"mapping": 5}, "mapping must be a mapping of names"),
        ({"mapping": {3: "bass"}}, "mapping must be a mapping of names"),
        ({"mapping": {"bass": []}}, "mapping must be to a name or to a sequence of names"),
        ({"mapping": {"bass": ["drums", 3]}}, "mapping must be to a name or to a sequence of names"),
        ({"permutation": "no"}, "permutation must be True or False; got 'no'"),
        ({"pad": 1}, "pad must be True or False"),
        ({"isolate": None}, "isolate must be True or False"),
        ({"reference_dir": 3}, "reference_dir must be the path of a folder; got int"),
        ({"reference_dir": "nothing"}, "reference_dir must be an existing folder; got 'nothing'"),
        ({"estimate_dir": "bad\0name"}, "estimate_dir must be an existing folder"),
        ({"protocol": "sdr"}, "protocol must be one of"),
        ({"sources": "bass"}, "sources must be different names"),
        ({"sources": []}, "sources must be different names"),
        ({"sources": ["bass", "bass"]}, "sources must be different names"),
        ({"mapping": {"choir": "bass"}}, "mapping must be of references that are scored"),
        ({"mapping": {"bass": 3}}, "mapping must be to a name or to a sequence of names"),
        ({"mapping": {"bass": "drums"}, "permutation": True}, "mapping must be None where permutation=True"),
        ({"n_jobs": 0}, "n_jobs must be an integer"),
    ],
)
def test_settings_that_make_no_sense(one, changes, said):
    arguments = {"reference_dir": one[0], "estimate_dir": one[1], "protocol": FAST, **changes}
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        evaluate_folders(**arguments)


def test_folders_without_anything_to_score(one, tmp_path):
    true, made = one
    empty = tmp_path / "empty"
    write(empty / "mixture.wav", sounds(0)["bass"])
    with pytest.raises(InputError, match="reference_dir must be a folder with one audio file for each"):
        evaluate_folders(empty, made)
    write(empty / "deep/bass.wav", sounds(0)["bass"])
    (empty / "mixture.wav").unlink()
    with pytest.raises(
        InputError, match=r"estimate_dir must be a folder .* with audio in 'deep'\. Tracks are"
    ):
        evaluate_folders(true, empty)


def test_evaluations_travel_as_text():
    for protocol in (*named_protocols().values(), BSSEval(window_seconds=0.1, hop_seconds=0.05)):
        job = Evaluation(protocol=protocol, mapping={"a\udcff": "b"}, pad=True)
        assert Evaluation.from_json(job.to_json()) == job
    task = TrackFiles(track="a", references={"b": "\udcff"}, estimates={"b": "c"}, partial=True)
    assert Evaluation.task_of(json.loads(json.dumps(task.plain()))) == task
    outcome = Scored(error="x", notices=("[W] a",), out_of_memory=True)
    assert Evaluation.outcome_of(json.loads(json.dumps(outcome.plain()))) == outcome


class _Own(ScaleInvariant):
    """A protocol that no other process knows."""


class _OwnName(ScaleInvariant):
    """A protocol of a name that no other process knows."""

    name = "own"


@pytest.mark.parametrize("own", [_Own(), _OwnName()])
def test_protocols_of_ones_own_are_for_one_process(tree, own):
    assert evaluate_folders(*tree, own).scores.n_tracks == 3
    with pytest.raises(InputError, match="n_jobs must be 1 for a protocol of your own"):
        evaluate_folders(*tree, own, n_jobs=2)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_crash_takes_one_track(tree, monkeypatch):
    crash = (
        "import os\n"
        "from dspsep.batch import _scoring\n"
        "original = _scoring.load\n"
        "_scoring.load = lambda file, **how: os._exit(7) if 'disc 1' in file else original(file, **how)\n"
    )
    before = "from dspsep.batch._worker import main"
    code = _workers._CODE.replace("; from", "\nfrom").replace(before, crash + before)
    monkeypatch.setattr(_workers, "_CODE", code)
    found = evaluate_folders(*tree, FAST, n_jobs=2)
    assert [track.track for track in found.scores.tracks] == ["b song", "z"]
    assert found.failures["disc 1/a"].startswith("its process ended with status 7")
    assert isinstance(found.scores, Scores)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_scores_that_are_too_large_to_travel_are_one_track_less(tree, monkeypatch):
    small = "import dspsep.metrics._scores_json as s\ns._MAX_LENGTH = 3000\n"
    before = "from dspsep.batch._worker import main"
    code = _workers._CODE.replace("; from", "\nfrom").replace(before, small + before)
    monkeypatch.setattr(_workers, "_CODE", code)
    long = sounds(1, n_samples=4 * RATE)
    make(tree[0] / "disc 1/a", long, "flac")
    make(tree[1] / "disc 1/a", spoilt(long))
    found = evaluate_folders(*tree, ScaleInvariant(window_seconds=0.2), n_jobs=2)
    assert list(found.failures) == ["disc 1/a"]
    assert "at most 3000 characters of JSON" in found.failures["disc 1/a"]
    assert "One job at a time" in found.failures["disc 1/a"]
    assert found.scores.n_tracks == 2
