"""How gait changes with speed: known laws are found again, and the bundled weights say what everybody knows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_response import (
    HIPS,
    KNEES,
    SPEEDS_M_S,
    STRIDE_EXPONENT,
    made_up_people,
    made_up_person,
    made_up_stride,
)
from speed_data_folder import EXPONENT, SPEED_PAIRS, write_speed_folder

from gaitdynamics.apps.cli import main
from gaitdynamics.errors import InputFileError, OutputError, TrainingError
from gaitdynamics.model.checkpoint import load_weights, save_weights
from gaitdynamics.model.speed_response import KIND, NUM_POINTS, MeanStride, at_phase, mean_stride, speed_response
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimators import load_speed_response
from gaitdynamics.training.speed_response_fit import fit_speed_response


def test_the_average_person_changes_as_people_do_on_average() -> None:
    people = made_up_people()
    change = people.change(made_up_stride(1.0), 1.0, 2.0)
    expected = made_up_stride(2.0).values - made_up_stride(1.0).values
    np.testing.assert_allclose(change.values, expected, atol=1e-6)
    assert change.log_stride_s == pytest.approx(STRIDE_EXPONENT * np.log(2.0), abs=1e-6)
    assert change.contact_share == pytest.approx(-0.05 * np.log(2.0), abs=1e-6)


@pytest.mark.parametrize("knee_rad", [0.75, 1.25])
def test_a_person_changes_like_those_who_move_alike(knee_rad: float) -> None:
    change = made_up_people(ridge=1e-3).change(made_up_stride(1.0, knee_rad=knee_rad), 1.0, 2.0)
    own = made_up_stride(2.0, knee_rad=knee_rad).values - made_up_stride(1.0, knee_rad=knee_rad).values
    np.testing.assert_allclose(change.values[:, KNEES["right"]], own[:, KNEES["right"]], atol=0.02 * own.max())
    exponent = STRIDE_EXPONENT + 0.2 * (knee_rad - 1.0)
    assert change.log_stride_s == pytest.approx(exponent * np.log(2.0), rel=0.03)


def test_where_a_laboratory_takes_zero_to_be_does_not_matter() -> None:
    people = made_up_people()
    stride = made_up_stride(1.0, knee_rad=1.2)
    moved = replace(stride, values=stride.values + 0.2)
    np.testing.assert_allclose(people.change(moved, 1.0, 2.0).values, people.change(stride, 1.0, 2.0).values, atol=1e-9)


def test_somebody_like_nobody_is_not_extrapolated_to() -> None:
    people = made_up_people()
    far, further = (people.change(made_up_stride(1.0, knee_rad=knee), 1.0, 2.0).log_stride_s for knee in (3.0, 30.0))
    most = max((STRIDE_EXPONENT + 0.2 * (knee - 1.0)) * np.log(2.0) for knee in (0.7, 1.3))
    assert far == pytest.approx(further, abs=1e-3)
    assert far <= most + 0.02


def test_nothing_changes_at_the_same_speed() -> None:
    people = made_up_people()
    for found in (people.change(made_up_stride(1.5), 1.5, 1.5), *people.draws(1.5, 1.5, num=2, seed=0)):
        assert not found.values.any()
        assert found.log_stride_s == found.contact_share == 0.0


def test_draws_come_in_opposite_pairs_and_do_not_depend_on_their_number() -> None:
    people = made_up_people(ridge=10.0)
    four, two = (people.draws(1.0, 2.0, num=num, seed=3) for num in (4, 2))
    np.testing.assert_array_equal(four[1].values, -four[0].values)
    np.testing.assert_array_equal(four[1].values, two[1].values)
    assert four[2].log_stride_s not in (four[0].log_stride_s, four[1].log_stride_s)
    other = people.draws(1.0, 2.0, num=2, seed=4)
    assert other[0].log_stride_s != two[0].log_stride_s
    further = people.draws(1.0, 4.0, num=2, seed=3)
    np.testing.assert_allclose(further[0].values, 2 * two[0].values)


def test_people_who_are_all_foreseen_leave_nothing_to_draw() -> None:
    people = replace(made_up_people(), people=tuple(made_up_person() for _ in range(5)))
    assert abs(people.draws(1.0, 2.0, num=1, seed=0)[0].log_stride_s) < 1e-9


def test_channels_that_nobody_had_measured_do_not_change() -> None:
    change = made_up_people().change(made_up_stride(1.0), 1.0, 2.0)
    assert not change.values[:, GAIT["lumbar"]].any()


def test_channels_that_some_had_not_measured_change_as_those_of_the_others() -> None:
    people = made_up_people()
    first = people.people[0]
    known = first.known.copy()
    known[HIPS["right"]] = False
    values = first.values.copy()
    values[..., HIPS["right"]] = 7.0 * first.log_speeds[:, None]  # what must not be looked at
    spoilt = replace(people, people=(replace(first, known=known, values=values), *people.people[1:]))
    change = spoilt.change(made_up_stride(1.0), 1.0, 2.0)
    np.testing.assert_allclose(change.values[:, HIPS["right"]], 0.0, atol=1e-9)


def test_speeds_beyond_the_people_are_known_as_such() -> None:
    people = made_up_people()
    assert all(people.holds(speed) for speed in SPEEDS_M_S)
    assert not people.holds(2.3) and people.reaches(2.3)
    assert not people.reaches(4.0) and not people.reaches(0.3)


def test_a_mean_stride_is_found_in_frames_and_put_back_at_any_phase() -> None:
    phase = np.linspace(0.3, 5.2, 700)
    stride = made_up_stride(1.3)
    frames = at_phase(stride.values, phase)
    np.testing.assert_allclose(mean_stride(frames, phase), stride.values, atol=1e-4)


def test_right_and_left_legs_make_one_stride() -> None:
    phase = np.linspace(0.0, 4.0, 500)
    frames = np.zeros((len(phase), len(GAIT)))
    frames[:, KNEES["right"]], frames[:, KNEES["left"]] = 1.0, 0.5
    mean = mean_stride(frames, phase)
    np.testing.assert_allclose(mean[:, [KNEES["right"], KNEES["left"]]], 0.75, atol=1e-9)


def test_what_was_not_known_of_a_channel_is_taken_from_the_other_side_or_missing() -> None:
    phase = np.linspace(0.0, 3.0, 400)
    frames = at_phase(made_up_stride(1.3).values, phase)
    known = np.ones(frames.shape, dtype=bool)
    known[:, GAIT["knee_left"]] = False
    known[:, GAIT["lumbar"]] = False
    mean = mean_stride(frames, phase, is_known=known)
    np.testing.assert_allclose(mean[:, KNEES["left"]], made_up_stride(1.3).values[:, KNEES["left"]], atol=1e-3)
    assert np.isnan(mean[:, GAIT["lumbar"]]).all()


def test_bundled_people_go_faster_with_longer_and_quicker_strides() -> None:
    response = load_speed_response("starter_speed")
    for activity, speeds in (("walk", (1.0, 1.3, 1.6, 2.0)), ("run", (2.5, 3.0, 3.5, 4.0, 4.5))):
        strides = [response.by_activity[activity].average(speed) for speed in speeds]
        durations = np.exp([stride.log_stride_s for stride in strides])
        assert (np.diff(durations) < 0).all()
        assert (np.diff(durations * speeds) > 0).all()
        assert (np.diff([stride.contact_share for stride in strides]) < 0).all()
        peaks = [stride.values[:, GAIT["force_right_y"]].max() / 9.81 for stride in strides]
        assert (np.diff(peaks) > 0).all()
        low, high = (1.0, 1.6) if activity == "walk" else (2.0, 3.2)
        assert low < peaks[0] < peaks[-1] < high


def test_bundled_changes_are_the_same_for_right_and_left() -> None:
    response = load_speed_response("starter_speed")
    for people, speeds in ((response.by_activity["walk"], (1.0, 1.8)), (response.by_activity["run"], (3.0, 4.0))):
        change = people.change(people.average(speeds[0]), *speeds).values
        np.testing.assert_allclose(GAIT.mirrored(np.roll(change, NUM_POINTS // 2, axis=0)), change, atol=1e-5)


def test_a_law_in_a_data_folder_is_found_and_weights_hold_it(tmp_path: Path) -> None:
    write_speed_folder(tmp_path / "data")
    fit_speed_response(tmp_path / "data", tmp_path / "weights")
    people = speed_response(load_weights(tmp_path / "weights")).by_activity["walk"]
    slow, fast = SPEED_PAIRS[0]
    change = people.change(people.average(slow), slow, fast)
    assert change.log_stride_s == pytest.approx(EXPONENT * np.log(fast / slow), abs=0.02)
    height = GAIT["pelvis_height"][0]
    at = people.average(fast).values[:, height].max() - people.average(slow).values[:, height].max()
    assert at == pytest.approx(0.02 * np.log(fast / slow), abs=2e-3)
    assert len(people.people) == len(SPEED_PAIRS)


def test_fitting_twice_gives_the_same_bytes_and_replaces_only_if_told(tmp_path: Path) -> None:
    write_speed_folder(tmp_path / "data")
    for name in ("first", "second"):
        fit_speed_response(tmp_path / "data", tmp_path / name)
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("first", "second"))
    assert first == second
    with pytest.raises(OutputError, match="exist"):
        fit_speed_response(tmp_path / "data", tmp_path / "first")
    fit_speed_response(tmp_path / "data", tmp_path / "first", overwrite=True)


def test_people_of_one_speed_teach_nothing_and_that_is_said(tmp_path: Path) -> None:
    write_speed_folder(tmp_path / "data", is_one_speed=True)
    with pytest.raises(TrainingError, match="two speeds"):
        fit_speed_response(tmp_path / "data", tmp_path / "weights")


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=KIND):
        load_speed_response("starter")


def test_weights_that_lack_something_are_refused(tmp_path: Path) -> None:
    save_weights(
        tmp_path / "weights",
        kind=KIND,
        tensors={"run.values": torch.zeros(2, NUM_POINTS, len(GAIT))},
        layout=GAIT.to_json(),
        config={"activities": {"run": {"speeds_m_s": [2.5, 4.5], "ridge": 1.0}}},
        normalizer=None,
        provenance={},
        licence="none",
        overwrite=False,
    )
    with pytest.raises(InputFileError, match="run"):
        load_speed_response(str(tmp_path / "weights"))


def test_a_stride_is_a_stride_of_fifty_points() -> None:
    stride = load_speed_response("starter_speed").by_activity["run"].average(3.3)
    assert isinstance(stride, MeanStride)
    assert stride.values.shape == (NUM_POINTS, len(GAIT))


def test_the_command_line_makes_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_speed_folder(tmp_path / "data")
    arguments = ["train", "starter_speed", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "made")]
    monkeypatch.setattr("sys.argv", ["gaitdynamics", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert str(tmp_path / "made") in capsys.readouterr().out.replace("\n", "")
    assert load_speed_response(str(tmp_path / "made")).by_activity.keys() == {"walk"}
