"""From two folders of audio to scores, as a library."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
import soundfile
from threadpoolctl import threadpool_info, threadpool_limits

from dspsep import InputError, evaluate_folders, get_num_threads, load
from dspsep.batch import _scoring, _workers
from dspsep.batch._pairing import TrackFiles
from dspsep.batch._scoring import Evaluation, Scored
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
    # Every track has a mixture, a residual and a record; the manifest lies in no folder of a track.
    assert found.ignored == ("mixtures (3)", "residuals (3)", "files that are no audio (3)")


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
    assert "none called 'choir'" in evaluate_folders(true, made, FAST, sources=["choir"]).failures["z"]


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
    assert evaluate_folders(true, made, FAST, pad=True).scores == whole
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
    assert "finite" in found.failures["b song"]
    assert "path must be" in found.failures["z"]
    assert str(made / "z/bass.wav") in found.failures["z"]


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
        ({"reference_dir": 3}, "reference_dir must be the path of a folder; got int"),
        ({"reference_dir": "nothing"}, "reference_dir must be an existing folder; got 'nothing'"),
        ({"estimate_dir": "bad\0name"}, "estimate_dir must be an existing folder"),
        ({"protocol": "sdr"}, "protocol must be one of"),
        ({"sources": "bass"}, "sources must be different names"),
        ({"sources": []}, "sources must be different names"),
        ({"sources": ["bass", "bass"]}, "sources must be different names"),
        ({"mapping": {"choir": "bass"}}, "mapping must be of references that are scored"),
        ({"mapping": {"bass": 3}}, "mapping must be a mapping of names"),
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
    with pytest.raises(InputError, match=r"estimate_dir must be a folder .* with 'deep'\. Tracks are"):
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


def test_protocols_of_ones_own_are_for_one_process(tree):
    own = _Own()
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
