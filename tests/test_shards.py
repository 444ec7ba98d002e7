"""Reading a data folder, and which windows training sees."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_data_folder import write_data_folder, write_index

from gaitdynamics.errors import InputFileError, TrainingError
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.windows import WINDOW_FRAMES
from gaitdynamics.training.recipe import mirrored
from gaitdynamics.training.sampling import Sampler, covering, is_among, weight_by_length
from gaitdynamics.training.shards import Picks, Recording, Shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "folder"
    write_data_folder(folder)
    return folder


@pytest.fixture(scope="module")
def shards(folder: Path) -> Shards:
    return Shards.open(folder)


def sampler(shards: Shards, *, seed: int = 0) -> Sampler:
    return Sampler.of(shards, range(len(shards.recordings)), weights=weight_by_length(shards.recordings), seed=seed)


def picks_at(places: list[tuple[int, int]], *, is_mirrored: bool = False) -> Picks:
    recording, start = np.array(places).T
    return Picks(recording, start, np.full(len(places), is_mirrored), np.arange(len(places)))


def test_a_window_is_what_lies_in_the_file(shards: Shards) -> None:
    long = next(i for i, entry in enumerate(shards.recordings) if entry.num_frames > 200)
    entry = shards.recordings[long]
    batch = shards.batch(picks_at([(long, 0), (long, 37)]), ["gait", "valid"])
    raw = np.load(shards.folder / f"gait-{entry.shard:03d}.npy")
    first = entry.start + 37
    assert np.array_equal(batch["gait"][1].numpy(), raw[first : first + WINDOW_FRAMES])
    assert np.array_equal(batch["gait"][0, 37:].numpy(), batch["gait"][1, :-37].numpy())
    assert batch["valid"].shape == (2, WINDOW_FRAMES, 1)
    assert batch.present.all()
    assert batch.recordings == (entry, entry)


def test_a_short_recording_is_padded_with_zeros_that_are_not_present(shards: Shards) -> None:
    short = next(i for i, entry in enumerate(shards.recordings) if entry.num_frames < WINDOW_FRAMES)
    num = shards.recordings[short].num_frames
    batch = shards.batch(picks_at([(short, 0)]), ["gait"])
    assert np.array_equal(batch["gait"][0, :num].numpy(), shards.rows("gait", short))
    assert not batch["gait"][0, num:].any()
    assert batch.present[0].tolist() == [True] * num + [False] * (WINDOW_FRAMES - num)


def test_a_step_has_the_same_windows_whenever_and_by_whomever_it_is_asked_for(shards: Shards) -> None:
    one, other = sampler(shards), sampler(Shards.open(shards.folder))
    one.picks(1, 64)
    a, b = one.picks(7, 64), other.picks(7, 64)
    for field in ("recording", "start", "is_mirrored", "seed"):
        assert np.array_equal(getattr(a, field), getattr(b, field))
        assert not np.array_equal(getattr(a, field), getattr(one.picks(8, 64), field))
        assert not np.array_equal(getattr(a, field), getattr(sampler(shards, seed=1).picks(7, 64), field))


def test_windows_lie_within_their_recording_and_hold_a_known_force(shards: Shards) -> None:
    picks = sampler(shards).picks(1, 3000)
    valid = shards.batch(picks, ["valid"])
    assert (valid["valid"].sum(dim=(1, 2)) > 0).all()
    for recording, start in zip(picks.recording, picks.start, strict=True):
        assert 0 <= start <= max(shards.recordings[recording].num_frames - WINDOW_FRAMES, 0)


def test_recordings_are_drawn_as_often_as_their_weights_say(shards: Shards) -> None:
    weights = np.arange(len(shards.recordings), dtype=float)
    drawn = Sampler.of(shards, range(len(weights)), weights=weights, seed=3).picks(1, 40000)
    shares = np.bincount(drawn.recording, minlength=len(weights)) / len(drawn)
    assert shares[0] == 0.0
    assert np.abs(shares - weights / weights.sum()).max() < 0.01
    assert abs(drawn.is_mirrored.mean() - 0.5) < 0.02


def test_every_start_that_holds_a_known_force_is_drawn(tmp_path: Path) -> None:
    write_data_folder(tmp_path / "data")
    opened = Shards.open(tmp_path / "data")
    number = next(i for i, entry in enumerate(opened.recordings) if entry.num_frames > 300)
    entry = opened.recordings[number]
    path = tmp_path / "data" / f"valid-{entry.shard:03d}.npy"
    valid = np.load(path)
    valid[entry.start : entry.start + entry.num_frames] = 0.0
    valid[entry.start + 160 : entry.start + 162] = 1.0
    np.save(path, valid)
    opened = Shards.open(tmp_path / "data")
    drawn = Sampler.of(opened, [number], weights=np.ones(1), seed=0).picks(1, 4000)
    last = min(161, entry.num_frames - WINDOW_FRAMES)
    assert set(drawn.start.tolist()) == set(range(11, last + 1))


def test_people_without_a_known_force_can_not_be_sampled(tmp_path: Path) -> None:
    write_data_folder(tmp_path / "data")
    for path in (tmp_path / "data").glob("valid-*.npy"):
        np.save(path, np.zeros_like(np.load(path)))
    with pytest.raises(TrainingError, match="known force"):
        sampler(Shards.open(tmp_path / "data"))


@pytest.mark.parametrize("weights", [np.ones(3), np.full(20, -1.0), np.full(20, np.nan), np.zeros(20)])
def test_weights_that_are_no_weights_are_refused(shards: Shards, weights: np.ndarray) -> None:
    with pytest.raises(TrainingError, match="weight"):
        Sampler.of(shards, range(20), weights=weights, seed=0)


def test_validation_windows_cover_recordings_to_their_end(shards: Shards) -> None:
    chosen = [0, 1, 2, 3]
    picks = covering(shards, chosen, largest_num=1000, seed=0)
    for number in chosen:
        num = shards.recordings[number].num_frames
        seen = np.zeros(num, dtype=bool)
        for start in picks.start[picks.recording == number]:
            seen[start : start + WINDOW_FRAMES] = True
        assert seen[shards.rows("valid", number)[:, 0] > 0].all()
    assert not picks.is_mirrored.any()
    assert len(covering(shards, chosen, largest_num=3, seed=0)) == 3


def test_a_windows_random_numbers_are_its_own(shards: Shards) -> None:
    picks = sampler(shards).picks(5, 16)
    whole, part = shards.batch(picks, ["valid"]), shards.batch(picks[8:12], ["valid"])
    assert torch.equal(whole.normal("noise", 3, 2)[8:12], part.normal("noise", 3, 2))
    assert torch.equal(whole.uniform("scale")[8:12], part.uniform("scale"))
    assert not torch.equal(whole.uniform("scale"), whole.uniform("offset"))
    assert whole.uniform("scale").unique().numel() == 16


def test_mirroring_swaps_the_picked_windows_only_and_undoes_itself(shards: Shards) -> None:
    batch = shards.batch(sampler(shards).picks(1, 32), ["gait"])
    once = mirrored(batch, {"gait": GAIT})
    expected = np.where(
        batch.is_mirrored[:, None, None].numpy(), GAIT.mirrored(batch["gait"].numpy()), batch["gait"].numpy()
    )
    assert np.array_equal(once["gait"].numpy(), expected)
    assert not torch.equal(once["gait"], batch["gait"])
    assert torch.equal(mirrored(once, {"gait": GAIT})["gait"], batch["gait"])


def test_statistics_are_those_of_all_rows_together(shards: Shards) -> None:
    rows = np.concatenate([shards.rows("gait", number) for number in (1, 4, 6)]).astype(np.float64)
    found = shards.statistics("gait", [1, 4, 6])
    assert np.allclose(found.mean, rows.mean(axis=0))
    assert np.allclose(found.standard_deviation, rows.std(axis=0), atol=1e-7)
    assert np.array_equal(found.lowest, rows.min(axis=0))
    assert np.array_equal(found.highest, rows.max(axis=0))


def test_a_fixed_share_of_people_is_held_out_whatever_their_recordings() -> None:
    entries = [Recording(f"{i}", "d", "s", f"person {i // 2}", "train", 0, 0, 1) for i in range(2000)]
    chosen = [is_among(entry, fraction=0.2) for entry in entries]
    assert chosen[::2] == chosen[1::2]
    assert 0.15 < np.mean(chosen) < 0.25


def test_the_fingerprint_is_of_the_data_not_of_their_place(tmp_path: Path, shards: Shards) -> None:
    write_data_folder(tmp_path / "same")
    write_data_folder(tmp_path / "other", seed=1)
    assert Shards.open(tmp_path / "same").fingerprint == shards.fingerprint
    assert Shards.open(tmp_path / "other").fingerprint != shards.fingerprint


def without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda index: {name: value for name, value in index.items() if name != key}


def with_recording(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda index: {**index, "recordings": [{**index["recordings"][0], **changed}, *index["recordings"][1:]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: [], "format"),
        (lambda index: {**index, "format": 2}, "format 2"),
        (without("recordings"), "recordings"),
        (without("blocks"), "blocks"),
        (lambda index: {**index, "blocks": {"gait": []}}, "blocks"),
        (lambda index: {**index, "blocks": {**index["blocks"], "physics": ["a"]}}, "physics-000.npy: is missing"),
        (lambda index: {**index, "blocks": {**index["blocks"], "gait": ["a", "b"]}}, "44 columns"),
        (lambda index: {**index, "recordings": ["walk"]}, "lacks something"),
        (lambda index: {**index, "recordings": [{"name": "walk"}]}, "lacks something"),
        (with_recording(start=-1), "whole numbers"),
        (with_recording(num_frames=2.5), "whole numbers"),
        (with_recording(num_frames=10**9), "ends at row"),
        (with_recording(group=None), "group"),
        (with_recording(shard=7), "007.npy: is missing"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    index = write_data_folder(tmp_path / "data")
    write_index(tmp_path / "data", change(index))
    with pytest.raises(InputFileError, match=message):
        Shards.open(tmp_path / "data")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_block_is_refused(tmp_path: Path, share: float) -> None:
    write_data_folder(tmp_path / "data")
    path = tmp_path / "data" / "gait-001.npy"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputFileError, match=r"gait-001\.npy"):
        Shards.open(tmp_path / "data")


@pytest.mark.parametrize(
    "values",
    [np.zeros((3, 44)), np.zeros(44, dtype=np.float32), np.array([{}, {}]), np.zeros((9, 44), dtype=np.float32)],
)
def test_a_block_of_another_kind_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    write_data_folder(tmp_path / "data")
    np.save(tmp_path / "data" / "gait-000.npy", values)
    with pytest.raises(InputFileError):
        Shards.open(tmp_path / "data")


def test_a_missing_folder_or_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such folder"):
        Shards.open(tmp_path / "nothing")
    with pytest.raises(InputFileError, match=r"index\.json"):
        Shards.open(tmp_path)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(InputFileError, match="JSON"):
        Shards.open(tmp_path)


def test_a_recipe_that_needs_other_channels_is_refused(shards: Shards) -> None:
    shards.check_blocks({"gait": GAIT.names})
    with pytest.raises(InputFileError, match="no block 'physics'"):
        shards.check_blocks({"physics": ("a",)})
    with pytest.raises(InputFileError, match="their order"):
        shards.check_blocks({"gait": GAIT.names[::-1]})
    with pytest.raises(InputFileError, match="'new'"):
        shards.check_blocks({"gait": (*GAIT.names, "new")})
