"""The diffusion model: what it is told comes out as it was, whole trials have no seams, and a little training helps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_completer import SMALL, trained_completer
from synthetic_data_folder import KINEMATICS, write_data_folder

from gaitdynamics.errors import InputFileError, TrainingError
from gaitdynamics.model.checkpoint import load_weights
from gaitdynamics.model.diffusion import (
    WINDOW_FRAMES,
    Conditions,
    GaitDiffusion,
    TrialDenoiser,
    build_diffusion_model,
    size_from_json,
)
from gaitdynamics.state.codec import State
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.tasks.fill_motion import MotionCompleter
from gaitdynamics.training.diffusion_recipe import FORCES, SCENARIOS, hidden_by_chance, starter_diffusion
from gaitdynamics.training.shards import Shards

D = len(GAIT)
NUM_STEPS = 150


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "people"
    write_data_folder(folder)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> MotionCompleter:
    return trained_completer(data, tmp_path_factory.mktemp("run") / "weights", num_steps=NUM_STEPS)


def random_model() -> GaitDiffusion:
    model = GaitDiffusion(SMALL, Normalizer(np.ones(D, dtype=np.float32), np.zeros(D, dtype=np.float32)))
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def inputs(length: int = WINDOW_FRAMES) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    noisy, known = (torch.randn(2, length, D, generator=generator) for _ in range(2))
    mask = (torch.rand(2, length, D, generator=generator) < 0.5).float()
    return noisy, torch.tensor([0.5, 2.0]), known, mask


def asked(model: GaitDiffusion, noisy: torch.Tensor, sigma: torch.Tensor, known: torch.Tensor, mask: torch.Tensor):
    conditions = torch.zeros(len(noisy), len(Conditions().encoded()))
    present = torch.ones(noisy.shape[:2], dtype=torch.bool)
    with torch.no_grad():
        return model(noisy, sigma, known, mask, conditions=conditions, present=present)


def test_known_values_come_out_as_they_were() -> None:
    noisy, sigma, known, mask = inputs()
    clean = asked(random_model(), noisy, sigma, known, mask)
    assert torch.equal(clean[mask > 0], known[mask > 0])
    assert not torch.allclose(clean[mask == 0], known[mask == 0])


def test_noise_on_known_values_and_values_behind_the_mask_are_not_looked_at() -> None:
    noisy, sigma, known, mask = inputs()
    model = random_model()
    other = asked(model, noisy + 3.0 * mask, sigma, known + 3.0 * (1 - mask), mask)
    assert torch.equal(other, asked(model, noisy, sigma, known, mask))


def test_known_values_noise_level_and_conditions_make_a_difference() -> None:
    noisy, sigma, known, mask = inputs()
    model = random_model()
    clean = asked(model, noisy, sigma, known, mask)
    hidden = mask == 0
    assert not torch.allclose(asked(model, noisy, sigma, known + mask, mask)[hidden], clean[hidden])
    assert not torch.allclose(asked(model, noisy, 2 * sigma, known, mask)[hidden], clean[hidden])
    present = torch.ones(noisy.shape[:2], dtype=torch.bool)
    fast = torch.from_numpy(Conditions(speed_m_s=5.0).encoded()).expand(2, -1)
    with torch.no_grad():
        told = model(noisy, sigma, known, mask, conditions=fast, present=present)
    assert not torch.allclose(told[hidden], clean[hidden])


def test_frames_beyond_the_end_of_a_trial_do_not_matter() -> None:
    noisy, sigma, known, mask = inputs()
    model = random_model()
    present = torch.ones(noisy.shape[:2], dtype=torch.bool)
    present[:, 200:] = False
    conditions = torch.zeros(2, len(Conditions().encoded()))
    answers = []
    for beyond in (0.0, 5.0):
        changed = [torch.cat([signal[:, :200], signal[:, 200:] + beyond], dim=1) for signal in (noisy, known)]
        with torch.no_grad():
            answers.append(model(changed[0], sigma, changed[1], mask, conditions=conditions, present=present)[:, :200])
    assert torch.equal(*answers)


@pytest.mark.parametrize("length", [7, 150, WINDOW_FRAMES, 301, 777, 1000])
def test_a_denoiser_that_answers_frame_by_frame_answers_the_same_for_a_whole_trial(length: int) -> None:
    class Halving(GaitDiffusion):
        def forward(self, noisy: torch.Tensor, *others: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
            return noisy / 2

    model = Halving(SMALL, Normalizer(np.ones(D, dtype=np.float32), np.zeros(D, dtype=np.float32)))
    noisy, sigma, known, mask = inputs(length)
    found = TrialDenoiser(model, Conditions())(noisy, sigma, known, mask)
    assert torch.allclose(found, noisy / 2, atol=1e-6)


def test_a_little_training_completes_gaps_better_than_straight_lines(trained: MotionCompleter, data: Path) -> None:
    shards = Shards.open(data)
    unseen = [k for k, entry in enumerate(shards.recordings) if entry.split == "validation"]
    number = max(unseen, key=lambda k: shards.recordings[k].num_frames)
    truth = shards.rows("gait", number).astype(np.float64)
    gap = slice(len(truth) // 2 - 25, len(truth) // 2 + 25)
    known = np.ones(truth.shape, dtype=bool)
    known[gap] = False
    known[:, FORCES] = False
    state = State(GAIT, truth, known, np.arange(len(truth)) / 100)
    found = trained.completed_states(state, num_samples=4, seed=0)
    straight = truth.copy()
    straight[gap] = np.linspace(truth[gap.start - 1], truth[gap.stop], 52)[1:-1]

    def error(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean((values[gap][:, KINEMATICS] - truth[gap][:, KINEMATICS]) ** 2)))

    assert error(np.median(found, axis=0)) < 0.7 * error(straight)
    assert np.array_equal(found[:, known], np.repeat(truth[known][None], 4, axis=0))


def test_a_long_trial_has_no_seams(trained: MotionCompleter) -> None:
    frames = np.arange(1000)
    values = np.sin(2 * np.pi * frames[:, None] / 100 + np.linspace(0, 3, D)) * 0.8
    known = np.ones(values.shape, dtype=bool)
    known[:, GAIT["knee_right"]] = known[:, FORCES] = False
    state = State(GAIT, values, known, frames / 100)
    (found,) = trained.completed_states(state, num_samples=1, seed=0)
    bend = np.abs(np.diff(found[:, GAIT["knee_right"]], n=2, axis=0)).max(axis=1)
    near_borders = np.zeros(len(bend), dtype=bool)
    for border in range(0, len(bend), WINDOW_FRAMES - 100):
        near_borders[max(border - 3, 0) : border + 3] = near_borders[border + 97 : border + 103] = True
    assert bend[near_borders].max() < 2.0 * bend[~near_borders].max()


def test_the_same_seed_gives_the_same_states_however_many_are_drawn(trained: MotionCompleter) -> None:
    state = State(GAIT, np.zeros((150, D)), np.zeros((150, D), dtype=bool), np.arange(150) / 100)
    three = trained.completed_states(state, num_samples=3, seed=5)
    one = trained.completed_states(state, num_samples=1, seed=5)
    np.testing.assert_allclose(three[0], one[0], atol=1e-4)
    assert np.array_equal(three, trained.completed_states(state, num_samples=3, seed=5))
    assert np.abs(three[1] - three[0]).max() > 1e-3
    assert np.abs(trained.completed_states(state, num_samples=1, seed=6)[0] - one[0]).max() > 1e-3


def test_every_scenario_hides_what_it_says() -> None:
    rng = np.random.default_rng(0)
    shares = {name: [] for name in SCENARIOS}
    borders = np.cumsum([0.0, *SCENARIOS.values()])
    for name, low, high in zip(SCENARIOS, borders[:-1], borders[1:], strict=True):
        for _ in range(50):
            numbers = rng.random(64)
            numbers[0] = (low + high) / 2
            shares[name].append(hidden_by_chance(numbers, length=300)[:, KINEMATICS].mean())
    assert min(shares["everything"]) == 1.0
    assert min(shares["parts"]) > 0.0 and max(shares["parts"]) < 1.0
    assert np.mean(shares["most"]) > 0.6
    assert 0.0 < np.mean(shares["moments"]) < 0.5
    assert np.mean(shares["parts_for_moments"]) < np.mean(shares["parts"])
    assert min(shares["most_frames"]) > 0.6
    assert sum(SCENARIOS.values()) == pytest.approx(1.0)


def test_weights_come_back_from_disk_as_they_were(trained: MotionCompleter, data: Path, tmp_path: Path) -> None:
    recipe = starter_diffusion()
    shards = Shards.open(data)
    recipe.save(trained.model, shards, tmp_path / "weights", {"made": "here"})
    again = build_diffusion_model(load_weights(tmp_path / "weights"))
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    np.testing.assert_array_equal(again.scale.numpy(), trained.model.scale.numpy())


def test_other_weights_and_impossible_sizes_are_refused_with_their_reason(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="sizes of a diffusion network"):
        size_from_json({"width": 30, "num_heads": 4}, source="weights")
    with pytest.raises(InputFileError, match="sizes of a diffusion network"):
        size_from_json({"breadth": 32}, source="weights")
    with pytest.raises(TrainingError, match="is no GaitDiffusion"):
        starter_diffusion().save(torch.nn.Linear(1, 1), Shards.open(data), tmp_path / "weights", {})
    forces = Path(__file__).resolve().parents[1] / "src" / "gaitdynamics" / "assets" / "weights" / "starter"
    with pytest.raises(InputFileError, match="physics"):
        build_diffusion_model(load_weights(forces))
    weights = load_weights(forces)
    with pytest.raises(InputFileError, match="complete no motion"):
        build_diffusion_model(replace(weights, layout=GAIT.to_json()))
