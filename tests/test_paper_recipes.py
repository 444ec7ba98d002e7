"""The authors' networks, trained here: what they see, what they are taught, and that their weights run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_data_folder import write_data_folder, write_index

from gaitdynamics.errors import InputFileError, TrainingError
from gaitdynamics.model.checkpoint import load_weights
from gaitdynamics.model.published import (
    DIFFUSION_SIZE,
    FORCE_COLUMNS,
    KINEMATIC_COLUMNS,
    NetworkSize,
    PublishedDiffusion,
    PublishedRefinement,
    normalizer_of,
)
from gaitdynamics.state.layout import PUBLISHED
from gaitdynamics.state.normalizer import RANGE, Normalizer
from gaitdynamics.tasks.estimators import load_estimator
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.loop import train
from gaitdynamics.training.paper_recipes import (
    SMALL_DIFFUSION_SIZE,
    NormalisedNetwork,
    known_channels,
    normalizer_of_people,
    paper_diffusion,
    paper_forces,
    starter_paper_diffusion,
    starter_paper_forces,
    weight_of_measured,
)
from gaitdynamics.training.progress import read_losses
from gaitdynamics.training.recipe import Recipe
from gaitdynamics.training.sampling import Sampler, weight_by_length
from gaitdynamics.training.shards import Batch, Recording, Shards
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

SMALL = NetworkSize(width=16, num_layers=1, num_heads=2, feed_forward=24)
LUMBAR = PUBLISHED["lumbar"]
TURNING, ALTERED, WITHOUT_LUMBAR = 0, 1, 2  # numbers of recordings that are so
RECIPES = (paper_forces, paper_diffusion, starter_paper_forces, starter_paper_diffusion)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """The synthetic people in the authors' channels: unlike any body, but forces follow from kinematics."""
    folder = tmp_path_factory.mktemp("data") / "folder"
    index = write_data_folder(folder)
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(len(KINEMATIC_COLUMNS), len(FORCE_COLUMNS))) / np.sqrt(len(KINEMATIC_COLUMNS))
    delays = rng.uniform(0.0, 6.0, size=len(KINEMATIC_COLUMNS))
    index["recordings"][TURNING]["notes"] = ["the person turns by more than 45°"]
    index["recordings"][ALTERED]["variant"] = 1
    rows: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for number, entry in enumerate(index["recordings"]):
        values = np.zeros((entry["num_frames"], len(PUBLISHED)), dtype=np.float32)
        phase = np.arange(len(values))[:, None] / 16.0 + rng.uniform(0.0, 6.0) + delays
        size = 100.0 if number in (TURNING, ALTERED) else rng.uniform(0.6, 1.0)
        values[:, KINEMATIC_COLUMNS] = size * np.sin(phase)
        values[:, FORCE_COLUMNS] = np.maximum(values[:, KINEMATIC_COLUMNS] @ mixing, 0.0)
        if number == WITHOUT_LUMBAR:
            values[:, LUMBAR] = 0.0
        rows[entry["shard"]].append(values)
    for shard, parts in rows.items():
        np.save(folder / f"published-{shard:03d}.npy", np.concatenate(parts))
    index["blocks"][PUBLISHED.name] = list(PUBLISHED.names)
    write_index(folder, index)
    return Shards.open(folder)


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    return Trial("walk", Subject("nobody", 75.0, 1.75), body, walk, None, 0.0, "bundled")


def small_refinement(shards: Shards, recordings: list[int]) -> NormalisedNetwork:
    return NormalisedNetwork(PublishedRefinement(SMALL), SMALL, normalizer_of_people(shards, recordings))


def small_diffusion(shards: Shards, recordings: list[int]) -> NormalisedNetwork:
    return NormalisedNetwork(PublishedDiffusion(SMALL), SMALL, normalizer_of_people(shards, recordings))


def short(recipe: Recipe, *, num_steps: int = 4) -> Recipe:
    return replace(recipe, num_steps=num_steps, batch_size=4, micro_batch_size=2, warmup_steps=1)


def batch_of(shards: Shards, num: int = 4) -> Batch:
    """A few windows as training draws them."""
    recipe = paper_forces()
    trained = [number for number, entry in enumerate(shards.recordings) if entry.split == "train"]
    weights = recipe.weights([shards.recordings[number] for number in trained])
    picks = Sampler.of(shards, trained, weights=weights, seed=0).picks(1, num)
    return shards.batch(picks, recipe.blocks)


def network_of(shards: Shards, network: PublishedDiffusion | PublishedRefinement) -> NormalisedNetwork:
    return NormalisedNetwork(network, SMALL, normalizer_of_people(shards, range(len(shards.recordings)))).eval()


def test_trained_forces_run_like_the_authors_own(shards: Shards, trial: Trial, tmp_path: Path) -> None:
    folder = train(short(paper_forces()), shards.folder, tmp_path / "run", device="cpu")
    forces = load_estimator(str(folder))(trial).forces
    assert forces.force_n.shape == (len(trial.motion.time_s), 2, 3)
    assert np.isfinite(forces.force_n).all() and np.isfinite(forces.cop_m).all()
    published = load_estimator(str(folder), is_published_pipeline=True)(trial).forces
    assert np.isfinite(published.force_n).all() and (published.force_n != 0).any()


def test_a_trained_diffusion_model_runs_like_the_authors_own(shards: Shards, trial: Trial, tmp_path: Path) -> None:
    recipe = replace(short(paper_diffusion()), make_model=small_diffusion)
    folder = train(recipe, shards.folder, tmp_path / "run", device="cpu")
    weights = load_weights(folder)
    assert (weights.kind, NetworkSize.from_json(weights.config, source="test")) == ("published_diffusion", SMALL)
    forces = load_estimator(str(folder))(trial).forces
    assert np.isfinite(forces.force_n).all() and (forces.force_n != 0).any()


def test_the_authors_refinement_network_learns(shards: Shards, tmp_path: Path) -> None:
    recipe = replace(short(starter_paper_forces(), num_steps=100), make_model=small_refinement, learning_rate=1e-2)
    folder = train(recipe, shards.folder, tmp_path / "run", device="cpu")
    losses = [row.loss for row in read_losses(folder / "losses.csv")]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_a_diffusion_model_learns(shards: Shards, tmp_path: Path) -> None:
    recipe = replace(short(paper_diffusion(), num_steps=60), make_model=small_diffusion, learning_rate=1e-2)
    folder = train(recipe, shards.folder, tmp_path / "run", device="cpu")
    losses = [row.loss for row in read_losses(folder / "losses.csv")]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])


def test_the_small_diffusion_model_is_trained_as_the_large_one_and_saved_at_its_size(
    shards: Shards, tmp_path: Path
) -> None:
    recipe = short(starter_paper_diffusion(), num_steps=2)
    assert (recipe.loss, recipe.augment, recipe.blocks) == (
        paper_diffusion().loss,
        paper_diffusion().augment,
        paper_diffusion().blocks,
    )
    weights = load_weights(train(recipe, shards.folder, tmp_path / "run", device="cpu"))
    assert weights.kind == "published_diffusion"
    assert NetworkSize.from_json(weights.config, source="test") == SMALL_DIFFUSION_SIZE
    assert recipe.describe()["config"]["size"] == weights.config
    assert SMALL_DIFFUSION_SIZE.width < DIFFUSION_SIZE.width


def test_the_saved_normalizer_is_the_one_of_training(shards: Shards, tmp_path: Path) -> None:
    folder = train(short(paper_forces(), num_steps=1), shards.folder, tmp_path / "run", device="cpu")
    trained = [number for number, entry in enumerate(shards.recordings) if entry.split == "train"]
    expected, found = normalizer_of_people(shards, trained), normalizer_of(load_weights(folder))
    assert np.array_equal(found.scale, expected.scale) and np.array_equal(found.offset, expected.offset)


def test_the_networks_have_the_published_size(shards: Shards) -> None:
    recordings = range(len(shards.recordings))
    refinement = paper_forces().make_model(shards, recordings)
    assert isinstance(refinement, NormalisedNetwork) and isinstance(refinement.network, PublishedRefinement)
    assert (len(refinement.network.layers), refinement.network.embed.out_features) == (6, 192)
    with torch.device("meta"):
        assert sum(p.numel() for p in PublishedDiffusion().parameters()) > 10 * sum(
            p.numel() for p in refinement.network.parameters()
        )


@pytest.mark.parametrize("network", [PublishedRefinement, PublishedDiffusion])
def test_dropout_works_in_training_alone(network: type[PublishedRefinement] | type[PublishedDiffusion]) -> None:
    module = network(SMALL, dropout=0.5)
    plain = network(SMALL)
    plain.load_state_dict(module.state_dict())
    is_refinement = isinstance(module, PublishedRefinement)
    x = torch.ones(1, 20, len(KINEMATIC_COLUMNS) if is_refinement else len(PUBLISHED))
    inputs = (x,) if is_refinement else (x, torch.tensor([10]))
    assert torch.equal(module.eval()(*inputs), plain.train()(*inputs))
    assert not torch.allclose(module.train()(*inputs), plain(*inputs))


def test_only_motion_as_measured_and_straight_is_drawn(shards: Shards) -> None:
    weights = weight_of_measured(shards.recordings, among=weight_by_length)
    assert np.flatnonzero(weights == 0).tolist() == [TURNING, ALTERED]
    drawn = np.delete(np.array([entry.num_frames for entry in shards.recordings]), [TURNING, ALTERED])
    assert np.array_equal(np.delete(weights, [TURNING, ALTERED]), drawn)
    for recipe in RECIPES:
        found = recipe().weights(shards.recordings)
        assert not found[[TURNING, ALTERED]].any() and (np.delete(found, [TURNING, ALTERED]) > 0).all()


def test_if_everybody_turns_training_is_refused(shards: Shards, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not turn"):
        normalizer_of_people(shards, [TURNING, ALTERED])
    assert not weight_of_measured([shards.recordings[TURNING]], among=weight_by_length).any()


def test_a_data_folder_without_the_authors_channels_is_refused(tmp_path: Path) -> None:
    write_data_folder(tmp_path / "data")
    with pytest.raises(InputFileError, match="no block 'published'"):
        train(paper_forces(), tmp_path / "data", tmp_path / "run", device="cpu")


def test_the_normalizer_takes_what_is_drawn_and_its_mirror_to_the_authors_range(shards: Shards) -> None:
    normalizer = normalizer_of_people(shards, range(len(shards.recordings)))
    rows = []
    for number, entry in enumerate(shards.recordings):
        if number not in (TURNING, ALTERED, WITHOUT_LUMBAR):
            rows.append(shards.rows(PUBLISHED.name, number)[shards.rows(VALID, number)[:, 0] > 0])
            assert len(rows[-1]) == int(shards.rows(VALID, number).sum()) < entry.num_frames
    measured = np.concatenate(rows)
    normalised = normalizer.apply(np.concatenate([measured, PUBLISHED.mirrored(measured)]))
    exact = np.intersect1d(LUMBAR, KINEMATIC_COLUMNS)  # the one person without it has everything else
    assert np.allclose(normalised.min(axis=0)[exact], RANGE[0], atol=1e-4)
    assert np.allclose(normalised.max(axis=0)[exact], RANGE[1], atol=1e-4)
    assert normalised.min() > RANGE[0] - 1e-3 and normalised.max() < RANGE[1] + 1e-3


def test_unknown_channels_do_not_count_for_the_normalizer(tmp_path: Path, shards: Shards) -> None:
    """A rotation's first number is near 1 in whoever has it, and 0 in whoever lacks it."""
    index = write_data_folder(tmp_path / "data")
    for shard in (0, 1):
        values = np.concatenate(
            [shards.rows(PUBLISHED.name, k) for k, e in enumerate(shards.recordings) if e.shard == shard]
        )
        values[:, LUMBAR[0]] = np.where((values[:, LUMBAR] != 0).any(axis=1), 0.9 + 0.1 * values[:, LUMBAR[0]] / 100, 0)
        values[:, PUBLISHED.columns(["subtalar_angle_r", "subtalar_angle_l"])] = 0.0
        np.save(tmp_path / "data" / f"published-{shard:03d}.npy", values)
    index["blocks"][PUBLISHED.name] = list(PUBLISHED.names)
    write_index(tmp_path / "data", index)
    normalizer = normalizer_of_people(Shards.open(tmp_path / "data"), range(len(index["recordings"])))
    assert normalizer[LUMBAR[:1]].undo(np.full(1, RANGE[0], dtype=np.float32)) > 0.5
    never = PUBLISHED.columns(["subtalar_angle_r"])
    assert np.allclose(normalizer[never].undo(np.zeros(len(never))), 0.0)


def test_a_joint_that_passes_through_zero_is_known_and_one_that_stays_there_is_not() -> None:
    values = torch.ones(2, 5, len(PUBLISHED))
    knee = PUBLISHED["knee_angle_r"]
    values[0, 2, knee] = 0.0
    values[1, :, LUMBAR] = 0.0
    values[1, :, PUBLISHED["ankle_angle_l_vel"]] = 0.0  # the angle is locked, and not at 0
    is_valid = torch.tensor([[True, True, False, False, False], [False] * 5])
    values[0, :, FORCE_COLUMNS] = 0.0
    known = known_channels(values, is_valid)
    assert known[0][:, KINEMATIC_COLUMNS].all()
    assert known[..., FORCE_COLUMNS].eq(is_valid[..., None]).all()
    assert np.flatnonzero(~known[1, 0].numpy()).tolist() == sorted([*LUMBAR, *FORCE_COLUMNS])


@pytest.mark.parametrize("recipe", [paper_forces, paper_diffusion])
def test_what_is_not_known_is_not_taught(shards: Shards, recipe: type[Recipe]) -> None:
    network = PublishedRefinement(SMALL) if recipe is paper_forces else PublishedDiffusion(SMALL)
    model, batch = network_of(shards, network), batch_of(shards)
    is_valid = batch[VALID][..., 0] > 0
    assert is_valid.any() and not is_valid.all()
    spoilt = batch[PUBLISHED.name].clone()
    spoilt[..., FORCE_COLUMNS] += 50.0 * (~is_valid)[..., None]
    taught = batch[PUBLISHED.name].clone()
    taught[..., FORCE_COLUMNS] += 50.0 * is_valid[..., None]
    with torch.no_grad():
        before, after, other = (
            recipe().loss(model, batch.with_blocks(published=values))
            for values in (batch[PUBLISHED.name], spoilt, taught)
        )
    assert torch.equal(before.sums, after.sums) and torch.equal(before.weights, after.weights)
    assert (other.sums > before.sums).all()


class Perfect(PublishedDiffusion):
    """Knows the answer."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__(SMALL)
        self.answer = answer
        self.noisy: torch.Tensor | None = None

    def forward(self, noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        self.noisy = noisy
        return self.answer


def test_the_diffusion_model_is_taught_the_clean_window_of_a_noisy_one(shards: Shards) -> None:
    batch = batch_of(shards)
    identity = Normalizer(np.ones(len(PUBLISHED), np.float32), np.zeros(len(PUBLISHED), np.float32))
    known = known_channels(batch[PUBLISHED.name], batch[VALID][..., 0] > 0) & batch.present[..., None]
    network = Perfect(batch[PUBLISHED.name] * known)
    losses = paper_diffusion().loss(NormalisedNetwork(network, SMALL, identity), batch)
    assert torch.equal(losses.sums, torch.zeros(len(batch)))
    assert losses.weights.tolist() == pytest.approx(known.float().mean(dim=-1).sum(dim=1).tolist())
    assert network.noisy is not None
    assert (network.noisy - network.answer).abs().mean() > 0.1
    network.answer = network.answer + known.float()  # wrong by 1 everywhere, and by 0 in its changes
    losses = paper_diffusion().loss(NormalisedNetwork(network, SMALL, identity), batch)
    assert losses.sums.tolist() == pytest.approx(losses.weights.tolist())


def test_the_starter_learns_without_the_trunk_too(shards: Shards) -> None:
    batch = batch_of(shards, num=40)
    changed = starter_paper_forces().augment(batch)[PUBLISHED.name]
    mirrored = paper_forces().augment(batch)[PUBLISHED.name]
    is_missing = (changed[..., LUMBAR] == 0).all(dim=2).all(dim=1)
    assert 8 < is_missing.sum() < 32
    others = np.setdiff1d(np.arange(len(PUBLISHED)), LUMBAR)
    assert torch.equal(changed[..., others], mirrored[..., others])
    assert torch.equal(changed[~is_missing], mirrored[~is_missing])


def test_the_recipes_describe_themselves() -> None:
    for recipe in RECIPES:
        description = recipe().describe()
        assert description["name"] == recipe.__name__
        assert description["config"]["dropout"] == 0.1


def test_notes_of_a_recording_are_read_from_the_index(shards: Shards) -> None:
    assert shards.recordings[TURNING].notes == ("the person turns by more than 45°",)
    assert shards.recordings[WITHOUT_LUMBAR].notes == Recording("", "", "", "", "", 0, 0, 1).notes == ()
