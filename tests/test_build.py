"""A data folder holds what the sources hold: the same bytes however it was built, every person in one split."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaitdynamics.apps.estimate_files import estimate_file, read_person
from gaitdynamics.errors import GaitDynamicsError, InputFileError, InvalidMotionError, OutputError
from gaitdynamics.io.study import Interval
from gaitdynamics.maths.signals import interpolate
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.training import build as building
from gaitdynamics.training.assembly import Part, assemble
from gaitdynamics.training.build import Encoding, build
from gaitdynamics.training.evidence import within
from gaitdynamics.training.info import describe, read_index, report_of
from gaitdynamics.training.sources import TRAIN, VALIDATION, Candidate, read_sources, with_splits
from gaitdynamics.types.trial import Trial

ASSETS = Path(str(files("gaitdynamics") / "assets"))
BODY, WALK = ASSETS / "generic_body.osim", ASSETS / "synthetic_walk.mot"
FORCES = tuple(f"force_{side}_{axis}" for side in ("right", "left") for axis in "xyz")


def force_rows(trial: Trial, valid_s: tuple[Interval, ...], *, variant: int, seed: int) -> dict[str, np.ndarray]:
    """A stand-in for the encoding: forces by the motion's clock, N/kg; variants scaled at random."""
    assert trial.forces is not None
    first, last = trial.motion.time_s[[0, -1]]
    time_s = np.arange(first, last, 0.01)
    force = interpolate(trial.forces.force_n, trial.forces.time_s, time_s).reshape(len(time_s), 6)
    scale = 1 + 0.1 * variant * np.random.default_rng(seed).random()
    return {
        "gait": (scale * force / trial.subject.mass_kg).astype(np.float32),
        "valid": within(time_s, valid_s).astype(np.float32)[:, None],
    }


def rows_with_a_hole(trial: Trial, valid_s: tuple[Interval, ...], *, variant: int, seed: int) -> dict[str, np.ndarray]:
    rows = force_rows(trial, valid_s, variant=variant, seed=seed)
    rows["gait"][3, 2] = np.nan
    return rows


def rows_but_for_a_variant(
    trial: Trial, valid_s: tuple[Interval, ...], *, variant: int, seed: int
) -> dict[str, np.ndarray]:
    if variant == 1:
        raise InvalidMotionError(f"{trial.name}: nothing rests on the ground")
    return force_rows(trial, valid_s, variant=variant, seed=seed)


ENCODING = Encoding({"gait": FORCES, "valid": ("valid",)}, force_rows, num_variants=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forces of the synthetic walk."""
    folder = tmp_path_factory.mktemp("made")
    person = read_person(BODY, mass_kg=75.0, height_m=1.75)
    return estimate_file(WALK, person, out=folder, belt_speed_m_s=0.0, estimator=estimate_forces).paths[0]


@pytest.fixture
def study(tmp_path: Path, made: Path) -> Path:
    folder = tmp_path / "study"
    for subject, split in (("P1", "train"), ("P2", "validation")):
        add_trial(folder, made, subject, "walk", split=split)
    add_trial(folder, made, "P1", "again", split="train")
    return folder


def add_trial(folder: Path, made: Path, subject: str, trial: str, *, dataset: str = "D", **about: Any) -> Path:
    place = folder / dataset / subject / trial
    place.mkdir(parents=True)
    shutil.copy(BODY, place.parent / "model.osim")
    shutil.copy(WALK, place / "ik.mot")
    shutil.copy(made, place / "grf.mot")
    person = {"dataset": dataset, "subject": subject, "mass_kg": 75.0, "height_m": 1.75, "sex": "female", **about}
    (place.parent / "subject.json").write_text(json.dumps(person))
    recording = {"activity": "walk", "surface": "overground", "forces_valid_s": [[0.0, 5.9]]}
    (place / "trial.json").write_text(json.dumps(recording))
    return place


def built(*sources: Path, out: Path, **options: Any) -> dict[str, Any]:
    return build(list(sources), out, **{"encoding": ENCODING, "workers": 1} | options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows_of(out: Path, entry: dict[str, Any], block: str) -> np.ndarray:
    shard = np.load(out / f"{block}-{entry['shard']:03d}.npy", mmap_mode="r")
    return np.asarray(shard[entry["start"] : entry["start"] + entry["num_frames"]])


def test_the_rows_of_every_recording_are_where_the_index_says(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    index = built(study, out=out)
    assert json.loads((out / "index.json").read_text()) == index
    assert read_index(out) == index
    assert [(entry["name"], entry["variant"]) for entry in index["recordings"]] == [
        ("D/P1/again", 0),
        ("D/P1/again", 1),
        ("D/P1/walk", 0),
        ("D/P1/walk", 1),
        ("D/P2/walk", 0),
    ]
    assert index["blocks"] == {"gait": list(FORCES), "valid": ["valid"]}
    for entry in index["recordings"]:
        force, valid = rows_of(out, entry, "gait"), rows_of(out, entry, "valid")
        assert force.dtype == np.float32
        assert force.shape == (entry["num_frames"], 6) == (600, 6)
        assert valid.sum() / 100 == pytest.approx(entry["valid_s"])
        assert entry["valid_s"] == pytest.approx(5.9, abs=0.03)
        assert force[:, [1, 4]].sum(axis=1).mean() == pytest.approx(9.81, rel=0.15)
    first, second = (rows_of(out, entry, "gait") for entry in index["recordings"][:2])
    assert not np.array_equal(first, second)
    assert set(contents(out)) == {"index.json", "report.json", "report.md", "gait-000.npy", "valid-000.npy"}


def test_a_recording_keeps_what_is_known_of_the_person(study: Path, tmp_path: Path) -> None:
    entry = built(study, out=tmp_path / "out")["recordings"][-1]
    expected = {
        "name": "D/P2/walk",
        "dataset": "D",
        "subject": "P2",
        "group": "D/P2",
        "split": "validation",
        "activity": "walk",
        "surface": "overground",
        "sex": "female",
        "age_years": None,
        "mass_kg": 75.0,
        "height_m": 1.75,
        "variant": 0,
    }
    assert {key: entry[key] for key in expected} == expected
    assert entry["speed_m_s"] == pytest.approx(1.3, abs=0.1)


def test_the_same_recordings_give_the_same_bytes_with_any_number_of_workers(study: Path, tmp_path: Path) -> None:
    built(study, out=tmp_path / "one")
    built(study, out=tmp_path / "two", workers=2)
    moved = tmp_path / "elsewhere"
    shutil.copytree(study, moved)
    built(moved, out=tmp_path / "three")
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")


def test_an_interrupted_build_goes_on_where_it_stopped(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    built(study, out=whole)

    def stop_after(num: int) -> Callable[[str, int, int], None]:
        def report(stage: str, done: int, total: int) -> None:
            if stage == "Encoding" and done == num:
                raise KeyboardInterrupt

        return report

    with pytest.raises(KeyboardInterrupt):
        built(study, out=out, report=stop_after(2))
    assert not (out / "index.json").exists()
    with pytest.raises(InputFileError, match="no data folder, or one whose build has not ended"):
        read_index(out)
    times_encoded: list[str] = []

    def counting(trial: Trial, valid_s: tuple[Interval, ...], **options: int) -> dict[str, np.ndarray]:
        times_encoded.append(trial.name)
        return force_rows(trial, valid_s, **options)

    counting.__qualname__ = force_rows.__qualname__
    monkeypatch.setattr(building, "examine", None)  # nothing is examined again
    built(study, out=out, encoding=replace(ENCODING, encode=counting))
    assert times_encoded == ["D/P2/walk"]
    assert contents(out) == contents(whole)


def test_a_recording_that_changed_meanwhile_is_not_taken_from_before(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "Encoding" and done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(study, out=out, report=stop)
    person = study / "D" / "P2" / "subject.json"
    person.write_text(person.read_text().replace("75.0", "74.0"))
    entry = built(study, out=out)["recordings"][-1]
    assert entry["mass_kg"] == 74.0
    fresh = tmp_path / "fresh"
    built(study, out=fresh)
    assert contents(out) == contents(fresh)


def late(study: Path, recording: str, *, lag_s: float, scale: float) -> None:
    """Delay a recording's forces, and scale them."""
    path = study / recording / "grf.mot"
    header, table = path.read_text().split("endheader\n")
    labels, *lines = table.splitlines()
    is_force = ["force" in label and "_v" in label for label in labels.split("\t")]
    rows = np.array([line.split("\t") for line in lines], dtype=float)
    rows[:, is_force] *= scale
    rows[:, 0] += lag_s
    text = "\n".join([labels, *("\t".join(f"{value:.6f}" for value in row) for row in rows)])
    path.write_text(f"{header}endheader\n{text}\n")


def call_it_running(study: Path) -> None:
    """Lags are taken out of running alone."""
    for path in study.glob("D/*/*/trial.json"):
        path.write_text(path.read_text().replace('"walk"', '"run"'))


def test_lag_and_scale_of_a_laboratory_are_taken_out_and_reported(study: Path, tmp_path: Path) -> None:
    call_it_running(study)
    clean = built(study, out=tmp_path / "clean")
    for recording in ("D/P1/walk", "D/P1/again", "D/P2/walk"):
        late(study, recording, lag_s=0.02, scale=0.95)
    index = built(study, out=tmp_path / "out")
    before, after = clean["laboratories"]["D"], index["laboratories"]["D"]
    assert after["lag_s"] - before["lag_s"] == pytest.approx(0.02, abs=5e-4)
    assert after["force_scale"] / before["force_scale"] == pytest.approx(1 / 0.95, rel=2e-3)
    for entry, same in zip(index["recordings"], clean["recordings"], strict=True):
        assert (entry["lag_s"], entry["force_scale"]) == (after["lag_s"], after["force_scale"])
        difference = rows_of(tmp_path / "out", entry, "gait") - rows_of(tmp_path / "clean", same, "gait")
        assert np.abs(difference[10:-10]).mean() < 0.03
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"{1000 * after['lag_s']:+.1f}" in report
    assert f"{after['force_scale']:.3f}" in report


def test_as_measured_leaves_forces_alone_but_says_what_it_found(study: Path, tmp_path: Path) -> None:
    call_it_running(study)
    for recording in ("D/P1/walk", "D/P1/again", "D/P2/walk"):
        late(study, recording, lag_s=0.02, scale=0.95)
    index = built(study, out=tmp_path / "out", as_measured=True)
    assert {(entry["lag_s"], entry["force_scale"]) for entry in index["recordings"]} == {(0.0, 1.0)}
    assert index["laboratories"]["D"]["lag_s"] == pytest.approx(0.02, abs=1e-3)
    assert "as measured" in (tmp_path / "out" / "report.md").read_text()
    force = rows_of(tmp_path / "out", index["recordings"][0], "gait")
    assert force[:, [1, 4]].sum(axis=1)[100:500].mean() == pytest.approx(0.95 * 9.81, rel=0.02)


def test_what_cannot_be_loaded_or_learned_from_is_left_out_with_its_reason(
    study: Path, made: Path, tmp_path: Path
) -> None:
    broken = add_trial(study, made, "P3", "broken", split="train")
    shutil.copy(WALK, broken / "grf.mot")
    short = add_trial(study, made, "P4", "short", split="train")
    (short / "trial.json").write_text(json.dumps({"activity": "walk", "forces_valid_s": [[1.0, 1.1]]}))
    index = built(study, out=tmp_path / "out")
    assert [entry["name"] for entry in index["excluded"]] == ["D/P3/broken", "D/P4/short"]
    assert "no ground reaction forces" in index["excluded"][0]["reason"]
    assert "0.10 of 0.10 s of stated force are left" in index["excluded"][1]["reason"]
    assert {entry["subject"] for entry in index["recordings"]} == {"P1", "P2"}
    report = report_of(index)
    assert report["excluded"] == index["excluded"]
    assert "D/P4/short" in (tmp_path / "out" / "report.md").read_text()


def test_rows_that_are_no_numbers_are_left_out(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"force_right_z.* is not finite"):
        built(study, out=tmp_path / "out", encoding=replace(ENCODING, encode=rows_with_a_hole))
    assert not (tmp_path / "out" / "index.json").exists()


def test_a_variant_that_cannot_be_encoded_is_left_out_alone(study: Path, tmp_path: Path) -> None:
    encoding = replace(ENCODING, encode=rows_but_for_a_variant, num_variants=3)
    index = built(study, out=tmp_path / "out", encoding=encoding)
    variants = [entry["variant"] for entry in index["recordings"] if entry["name"] == "D/P1/walk"]
    assert variants == [0, 2]
    assert index["excluded"] == []
    names = [entry["name"] for entry in index["excluded_variants"]]
    assert names == ["D/P1/again, variant 1", "D/P1/walk, variant 1"]
    assert report_of(index)["excluded_variants"] == [{"reason": "nothing rests on the ground", "copies": 2}]
    assert "2 altered copies: nothing rests on the ground" in (tmp_path / "out" / "report.md").read_text()


def test_a_study_with_a_file_missing_is_refused_before_anything_is_written(study: Path, tmp_path: Path) -> None:
    (study / "D" / "P1" / "walk" / "grf.mot").unlink()
    with pytest.raises(InputFileError, match=r"grf\.mot: there is no such file"):
        built(study, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_broken_b3d_is_refused_before_anything_is_written(study: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.b3d").write_bytes(b"\x10" + bytes(30))
    with pytest.raises(InputFileError, match=r"broken\.b3d"):
        built(study, tmp_path / "broken.b3d", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["nowhere", "empty", "notes.txt"])
def test_a_source_that_holds_nothing_is_named(source: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputFileError, match=source.replace(".", r"\.")):
        built(tmp_path / source, out=tmp_path / "out")


def test_two_people_with_the_same_id_in_two_sources_are_refused(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path / "copy")
    with pytest.raises(InputFileError, match="are both subject 'P1' of 'D'"):
        read_sources([study, tmp_path / "copy"])


def test_a_source_given_twice_is_refused(study: Path) -> None:
    with pytest.raises(InputFileError, match="given twice"):
        read_sources([study, study])


def test_existing_results_are_kept_unless_told_otherwise(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    built(study, out=out)
    before = contents(out)
    with pytest.raises(OutputError, match="exists already"):
        built(study, out=out)
    assert contents(out) == before
    shutil.rmtree(study / "D" / "P2")
    assert {entry["subject"] for entry in built(study, out=out, overwrite=True)["recordings"]} == {"P1"}
    assert set(contents(out)) == set(before)


def test_a_folder_with_other_things_is_left_alone(study: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds other things than a data folder"):
        built(study, out=study)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        built(study, out=tmp_path / "file")


def candidates(tmp_path: Path, made: Path, *people: tuple[str, str | None, str | None]) -> list[Candidate]:
    for subject, split, group in people:
        about = {key: value for key, value in (("split", split), ("group", group)) if value is not None}
        add_trial(tmp_path / "people", made, subject, "walk", **about)
    return list(read_sources([tmp_path / "people"])[0])


def test_who_is_tested_on_is_not_trained_on_under_another_name(tmp_path: Path, made: Path) -> None:
    found = candidates(tmp_path, made, ("P1", "train", "same"), ("P2", "train", None))
    tested = replace(found[0], name="E/Q/run", dataset="E", subject="Q", split="validation")
    kept, excluded = with_splits([*found, tested])
    assert {(candidate.name, candidate.split) for candidate in kept} == {
        ("D/P2/walk", "train"),
        ("E/Q/run", "validation"),
    }
    assert [one.name for one in excluded] == ["D/P1/walk"]
    assert "in two splits" in excluded[0].reason
    assert "E/Q/run" in excluded[0].reason


def test_people_without_a_split_are_drawn_by_person_and_always_alike(tmp_path: Path, made: Path) -> None:
    (found,) = candidates(tmp_path, made, ("P1", None, None))
    crowd = [
        replace(found, name=f"D/P{i}/{trial}", subject=f"P{i}", group=f"D/P{i}", split=None)
        for i in range(400)
        for trial in "ab"
    ]
    kept, excluded = with_splits(crowd)
    assert excluded == []
    splits: dict[str, set[str | None]] = {}
    for candidate in kept:
        splits.setdefault(candidate.group, set()).add(candidate.split)
    assert all(len(found) == 1 for found in splits.values())
    share = sum(found == {VALIDATION} for found in splits.values()) / len(splits)
    assert 0.06 < share < 0.14
    again, _ = with_splits(reversed(crowd))
    assert {c.name: c.split for c in again} == {c.name: c.split for c in kept}


def test_people_without_a_split_follow_the_one_they_have_elsewhere(tmp_path: Path, made: Path) -> None:
    (found,) = candidates(tmp_path, made, ("P1", None, "somebody"))
    for split in (TRAIN, VALIDATION):
        elsewhere = replace(found, name="E/Q/run", split=split)
        kept, _ = with_splits([replace(found, split=None), elsewhere])
        assert [candidate.split for candidate in kept] == [split, split]


def test_parts_are_cut_into_shards_and_no_recording_in_two(tmp_path: Path) -> None:
    lengths = [30, 50, 40, 200, 10]
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(n, 5)).astype(np.float32) for n in lengths]
    parts = []
    for number, part in enumerate(values):
        path = tmp_path / f"{number}.npz"
        np.savez(path, **{"0/gait": part, "0/valid": part[:, :1]})  # type: ignore[arg-type]
        parts.append(Part(path, 0, len(part), 1.0))
    blocks = {"gait": tuple("abcde"), "valid": ("valid",)}
    places = assemble(parts, blocks, tmp_path, largest_bytes=100 * 5 * 4)
    assert [(place["shard"], place["start"]) for place in places] == [(0, 0), (0, 30), (1, 0), (2, 0), (3, 0)]
    for place, part in zip(places, values, strict=True):
        np.testing.assert_array_equal(rows_of(tmp_path, place, "gait"), part)
        np.testing.assert_array_equal(rows_of(tmp_path, place, "valid"), part[:, :1])
    assert (tmp_path / "gait-001.npy").stat().st_size < 100 * 5 * 4 + 200


def test_the_description_counts_people_hours_and_conditions(study: Path, tmp_path: Path) -> None:
    rows = describe(built(study, out=tmp_path / "out"))
    by_name = {(row["dataset"], row["split"]): row for row in rows}
    assert set(by_name) == {("D", "train"), ("D", "validation"), ("all", "train"), ("all", "validation")}
    row = by_name["D", "train"]
    assert (row["people"], row["recordings"]) == (1, 2)
    assert row["hours"] == pytest.approx(2 * 5.9 / 3600, abs=1e-4)
    assert (row["sexes"], row["age_years"], row["conditions"]) == ({"female": 1}, None, {"walk overground": 2})
    assert row["speed_m_s"] == pytest.approx([1.3, 1.3], abs=0.1)


def test_an_index_of_another_format_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", json.dumps({"format": 99, "recordings": []})):
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(InputFileError, match=r"index\.json"):
            read_index(tmp_path)


def test_a_dask_cluster_gives_the_same_bytes(study: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the package 'distributed' is not installed")
    built(study, out=tmp_path / "here")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        built(study, out=tmp_path / "there", dask_address=cluster.scheduler_address)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_a_missing_dask_is_said_with_the_command_that_brings_it(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(GaitDynamicsError, match=r"pip install 'gaitdynamics\[cluster\]'"):
        built(study, out=tmp_path / "out", dask_address="tcp://nowhere:8786")
    assert not (tmp_path / "out").exists()


def test_recordings_of_b3d_files_and_studies_go_into_one_folder(study: Path, shared: Path, tmp_path: Path) -> None:
    index = built(study, shared / "b3d", out=tmp_path / "out")
    names = {entry["name"]: entry for entry in index["recordings"] if entry["variant"] == 0}
    (arnold,) = [entry for name, entry in names.items() if "arnold01" in name]
    assert (arnold["dataset"], arnold["subject"], arnold["activity"]) == ("b3d", "arnold01", "walk")
    assert arnold["valid_s"] > 2.0
    assert [entry["name"].split("/")[1] for entry in index["excluded"]] == ["addbiomechanics_results"] * 2
    assert all("no measured forces" in entry["reason"] for entry in index["excluded"])


def test_measured_data_are_kept_but_for_people_in_two_splits(shared: Path, tmp_path: Path) -> None:
    data = shared / "gaitdata"
    index = built(data / "Arnold2013", data / "Hamner2013" / "subject01", out=tmp_path / "out")
    assert {entry["subject"] for entry in index["recordings"] if entry["dataset"] == "Hamner2013"} == {"subject01"}
    left_out = [entry["name"] for entry in index["excluded"]]
    assert left_out == ["Arnold2013/subject01/walk2_1p25"]
    groups: dict[str, set[str]] = {}
    for entry in index["recordings"]:
        groups.setdefault(entry["group"], set()).add(entry["split"])
    assert all(len(splits) == 1 for splits in groups.values())
