"""The authors' models: their files are read without running them, and everything agrees with their own program."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_weights import HEADS, WIDTH, diffusion_tensors, refinement_tensors, save_as_the_authors
from torch import nn

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.maths.rotations import flexion_adduction_rotation, from_flexion_adduction_rotation
from gaitdynamics.model.checkpoint import Weights
from gaitdynamics.model.published import (
    FORCE_COLUMNS,
    KINEMATIC_COLUMNS,
    NetworkSize,
    RotaryAttention,
    build_diffusion,
    build_refinement,
    convert_published,
    normalizer_of,
)
from gaitdynamics.model.published_coordinates import (
    BALL_COORDINATES,
    HINGES,
    PELVIS_TRANSLATIONS,
    canonical_coordinates,
    coordinates_by_name,
    has_other_knee_sign,
    times_of,
)
from gaitdynamics.model.published_file import read_published_file
from gaitdynamics.model.published_sampling import Guidance, betas, sample, timesteps
from gaitdynamics.model.published_state import (
    PublishedState,
    decode_coordinates,
    decode_forces,
    encode_as_published,
    encode_canonical,
    hindfoot_origins,
    values_by_name,
)
from gaitdynamics.state.layout import PUBLISHED
from gaitdynamics.tasks.published_pipeline import PublishedModels, estimate_published
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

BELT_SPEED_M_S = 1.22  # of the trial that the reference results are of
NETWORK_BOUND = STATE_BOUND = 5e-6
NORMALISED_BOUND = 1e-4
FORCE_BOUND_N = 2e-3
COP_BOUND_M = 2e-6


# --- reading files ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """Runs a function when it is unpickled."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


def in_a_zip(path: Path, pickle_bytes: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickle_bytes)
        archive.writestr("weights/byteorder", "little")
        archive.writestr("weights/data/0", bytes(4))
    return path


def hostile_pickles(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that make a file when they are loaded, and what the refusal names."""
    touch, make = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    system = Command(os.system, (touch,))
    nested = {"ema_state_dict": OrderedDict(), "normalizer": {"scaler": [1, ({"clip": system},)]}}
    return {
        "a call of os.system": (pickle.dumps(system, protocol=2), "'posix.system'"),
        "a call of eval": (pickle.dumps(Command(eval, (make,)), protocol=2), "'__builtin__.eval'"),
        "builtins by their new name": (b"\x80\x02cbuiltins\neval\n" + text(make) + b"\x85R.", "'builtins.eval'"),
        "a name from the stack": (pickle.dumps(system, protocol=4), "opcode"),
        "an instance": (b"(S'" + touch.encode() + b"'\nios\nsystem\n.", "'os.system'"),
        "an object": (b"\x80\x02(cos\nsystem\n" + text(touch) + b"o.", "'os.system'"),
        "deep inside the right keys": (pickle.dumps(nested, protocol=2), "'posix.system'"),
        "after harmless names": (
            b"\x80\x02ccollections\nOrderedDict\n)R0" + pickle.dumps(system, protocol=2)[2:],
            "'posix.system'",
        ),
        "by way of getattr": (
            b"\x80\x02c__builtin__\ngetattr\ncos\npath\n" + text("join") + b"\x86R0"
            b"cos\nsystem\n" + text(touch) + b"\x85R.",
            "'__builtin__.getattr'",
        ),
    }


def text(content: str) -> bytes:
    return b"X" + len(content).to_bytes(4, "little") + content.encode()


@pytest.mark.parametrize("kind", hostile_pickles(Path("marker")))
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    payload, named = hostile_pickles(marker)[kind]
    pickle.loads(payload)
    assert marker.exists(), "the payload is harmless, so refusing it shows nothing"
    marker.unlink()
    with pytest.raises(InputFileError, match=r"nothing was run") as refusal:
        convert_published(in_a_zip(tmp_path / "hostile.pt", payload), tmp_path / "out")
    assert named in str(refusal.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.pt"]


@pytest.mark.parametrize(
    "pickle_bytes",
    [
        pytest.param(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", id="a tensor of nothing"),
        pytest.param(b"\x80\x02ccollections\nOrderedDict\n}b.", id="attributes of a name"),
        pytest.param(b"\x80\x02c__builtin__\nxrange\n)\x81.", id="an object of a function"),
        pytest.param(b"\x80\x02h\x05.", id="a memory that was never filled"),
        pytest.param(b"\x80\x02}K\x01}s}}s.", id="a dictionary as a key"),
        pytest.param(b"\x80\x02R.", id="a call of nothing"),
        pytest.param(b"\x80\x02(.", id="nothing"),
        pytest.param(b"\x80\x02}}.", id="too much"),
        pytest.param(b"\x80\x02X\xff\xff\xff\x7fshort.", id="a text of two gigabytes"),
        pytest.param(b"\x80\x02}q\x00h\x00Q.", id="a storage that is none"),
    ],
)
def test_a_pickle_that_makes_no_sense_is_refused(pickle_bytes: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"odd\.pt"):
        read_published_file(in_a_zip(tmp_path / "odd.pt", pickle_bytes))


def test_a_file_read_gives_exactly_what_was_saved(tmp_path: Path) -> None:
    tensors = diffusion_tensors() | {"final_layer.weight": torch.arange(63.0 * WIDTH).reshape(WIDTH, 63).T}
    found = read_published_file(save_as_the_authors(tmp_path / "weights.pt", tensors))
    assert list(found.tensors) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor.numpy())
    assert found.scale.shape == found.offset.shape == (63,)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = save_as_the_authors(tmp_path / "whole.pt", refinement_tensors()).read_bytes()
    cut = tmp_path / "cut.pt"
    for length in np.linspace(0, len(content) - 1, 60).astype(int):
        cut.write_bytes(content[:length])
        with pytest.raises(InputFileError, match=r"cut\.pt"):
            read_published_file(cut)


def test_a_spoilt_file_is_refused_or_read_and_never_anything_else(tmp_path: Path) -> None:
    whole = save_as_the_authors(tmp_path / "whole.pt", refinement_tensors())
    with zipfile.ZipFile(whole) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    (name,) = [name for name in entries if name.endswith("data.pkl")]
    random = np.random.default_rng(5)
    spoilt, num_refused = tmp_path / "spoilt.pt", 0
    for _ in range(150):
        content = bytearray(entries[name])
        for position in random.integers(len(content), size=3):
            content[position] = random.integers(256)
        with zipfile.ZipFile(spoilt, "w") as archive:
            for entry, data in entries.items():
                archive.writestr(entry, bytes(content) if entry == name else data)
        try:
            read_published_file(spoilt)
        except InputFileError:
            num_refused += 1
    assert num_refused > 75


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"none\.pt: no such file"):
        read_published_file(tmp_path / "none.pt")
    with pytest.raises(InputFileError, match="not a whole zip file"):
        read_published_file(tmp_path)
    for name, content in (("empty", b""), ("text", b"time pelvis_tx"), ("old", pickle.dumps({"a": 1}))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputFileError, match=f"{name}: not a whole zip file"):
            read_published_file(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputFileError, match="holds 0 pickles of weights"):
        read_published_file(tmp_path / "other.zip")
    with zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data.pkl", pickle.dumps({}, protocol=2))
    with pytest.raises(InputFileError, match="is compressed"):
        read_published_file(tmp_path / "packed.pt")
    torch.save({"model": torch.zeros(3)}, tmp_path / "keys.pt", pickle_protocol=2)
    with pytest.raises(InputFileError, match="holds model instead of ema_state_dict and normalizer"):
        read_published_file(tmp_path / "keys.pt")
    torch.save({"ema_state_dict": torch.zeros(3, dtype=torch.float64)}, tmp_path / "double.pt", pickle_protocol=2)
    with pytest.raises(InputFileError, match=r"'torch\.DoubleStorage'"):
        read_published_file(tmp_path / "double.pt")


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path: Path) -> None:
    whole = save_as_the_authors(tmp_path / "whole.pt", refinement_tensors())
    short = tmp_path / "short.pt"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(short, "w") as changed:
        for name in archive.namelist():
            changed.writestr(name, archive.read(name)[:40] if name.endswith("data/0") else archive.read(name))
    with pytest.raises(InputFileError, match="has 40 bytes in 'whole/data/0' for 816 float32 numbers"):
        read_published_file(short)


# --- converting and building -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Weights, Weights]:
    """Converted weights of a small refinement and a small diffusion network."""
    folder = tmp_path_factory.mktemp("tiny")
    converted = []
    for name, tensors in (("refinement", refinement_tensors()), ("diffusion", diffusion_tensors())):
        file = save_as_the_authors(folder / f"{name}.pt", tensors)
        converted.append(convert_published(file, folder / name, num_heads=HEADS))
    return converted[0], converted[1]


def test_a_converted_file_keeps_every_number_that_is_used(tiny: tuple[Weights, Weights]) -> None:
    for weights, original in zip(tiny, (refinement_tensors(), diffusion_tensors()), strict=True):
        used = [t for name, t in original.items() if "multihead_attn" not in name and name != "rotary.freqs"]
        assert len(weights.tensors) == len(used)
        for tensor, found in zip(used, weights.tensors.values(), strict=True):
            assert any(torch.equal(tensor, other) for other in weights.tensors.values()), found.shape
        assert weights.config == {"width": 16, "num_layers": 2, "num_heads": 2, "feed_forward": 24}


def test_attention_is_that_of_pytorch_with_queries_and_keys_turned() -> None:
    size = NetworkSize(width=WIDTH, num_layers=1, num_heads=HEADS, feed_forward=1)
    generator = torch.Generator().manual_seed(3)
    ours, theirs = RotaryAttention(size), nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        theirs.in_proj_weight.copy_(ours.project_in.weight)
        theirs.in_proj_bias.copy_(ours.project_in.bias)
        theirs.out_proj.load_state_dict(ours.project_out.state_dict())
        x = torch.randn(2, 7, WIDTH, generator=generator)
        turned = x.clone()
        for frame in range(7):
            for pair in range(WIDTH // 2):
                angle = frame * 10000.0 ** (-2 * pair / WIDTH)
                a, b = x[:, frame, 2 * pair], x[:, frame, 2 * pair + 1]
                turned[:, frame, 2 * pair] = a * np.cos(angle) - b * np.sin(angle)
                turned[:, frame, 2 * pair + 1] = b * np.cos(angle) + a * np.sin(angle)
        expected, _ = theirs(turned, turned, x)
        torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)


def test_a_number_of_heads_that_cannot_be_is_refused(tmp_path: Path) -> None:
    file = save_as_the_authors(tmp_path / "r.pt", refinement_tensors())
    with pytest.raises(InputFileError, match=r"width 16 with 3 heads.*--heads"):
        convert_published(file, tmp_path / "out", num_heads=3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder_layers.0.surprise": torch.zeros(2)}, "tensor 'encoder_layers.0.surprise'"),
        ({"encoder_layers.1.norm1.weight": torch.zeros(5)}, "do not fit the network's sizes"),
        ({"embedding_to_output.weight": torch.zeros(11, WIDTH)}, "do not fit the network's sizes"),
        ({"encoder_layers.7.norm1.weight": torch.zeros(WIDTH)}, "do not fit the network's sizes"),
    ],
)
def test_tensors_of_another_network_are_refused(change: dict[str, torch.Tensor], message: str, tmp_path: Path) -> None:
    file = save_as_the_authors(tmp_path / "other.pt", refinement_tensors() | change)
    with pytest.raises(InputFileError, match=message):
        convert_published(file, tmp_path / "out", num_heads=HEADS)
    assert not (tmp_path / "out").exists()


def test_a_normalizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    for change in ({"scale_": torch.ones(62), "min_": torch.ones(62)}, {"scale_": torch.zeros(63)}):
        file = save_as_the_authors(tmp_path / "other.pt", refinement_tensors(), **change)
        with pytest.raises(InputFileError, match="its normalizer"):
            convert_published(file, tmp_path / "out", num_heads=HEADS)


def test_weights_of_the_other_network_are_refused(tiny: tuple[Weights, Weights]) -> None:
    with pytest.raises(InputFileError, match="Expected 'published_refinement'"):
        build_refinement(tiny[1])
    with pytest.raises(InputFileError, match="Expected 'published_diffusion'"):
        build_diffusion(tiny[0])
    for weights in ([], [tiny[0], tiny[0]], [replace(tiny[0], kind="forces")]):
        with pytest.raises(InputFileError, match="the authors' pipeline takes"):
            PublishedModels.of(weights)


# --- sampling --------------------------------------------------------------------------------------------------------


def test_sampling_ends_at_what_a_perfect_network_knows() -> None:
    truth = torch.linspace(-1, 1, 12).reshape(1, 3, 4)
    asked = []

    def oracle(noisy: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        asked.append(int(step[0]))
        return truth

    generator = torch.Generator().manual_seed(0)
    found = sample(
        oracle,
        torch.zeros_like(truth),
        torch.zeros_like(truth),
        draw_noise=lambda: torch.randn(truth.shape, generator=generator),
    )
    torch.testing.assert_close(found, truth)
    assert asked == timesteps()
    assert (len(asked), asked[0], asked[-1]) == (50, 999, 19)


def test_guidance_moves_a_sample_towards_what_is_wanted_and_leaves_the_dead_band() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(1, 3, 4, generator=generator) for _ in range(50)]
    nothing, weight = torch.zeros(1, 3, 4), torch.ones(1, 3, 4)
    weight[..., 3] = 0.0

    def sampled(guidance: Guidance | None) -> torch.Tensor:
        draws = iter(noise)
        return sample(
            lambda noisy, step: 0.5 * noisy, nothing, nothing, draw_noise=lambda: next(draws), guidance=guidance
        )

    free = sampled(None)
    guided = sampled(Guidance(free + 1.0, torch.tensor([0.0, 0.5, 99.0, 0.0]), weight))
    shift = (guided - free).mean(dim=(0, 1))
    assert shift[0] > shift[1] > 0.1
    torch.testing.assert_close(guided[..., 2:], free[..., 2:])


# --- state -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    return Trial("walk", Subject("nobody", 75.0, 1.75), body, walk, None, 0.0, "bundled")


def turned_about_the_vertical(trial: Trial, angle_rad: float) -> Trial:
    turn = from_flexion_adduction_rotation(np.array([0.0, 0.0, angle_rad]))
    values, names = trial.motion.values.copy(), list(trial.motion.coordinates)
    place, tilt = ([names.index(name) for name in group] for group in (PELVIS_TRANSLATIONS, BALL_COORDINATES["pelvis"]))
    values[:, place] = values[:, place] @ turn.T
    values[:, tilt] = flexion_adduction_rotation(turn @ from_flexion_adduction_rotation(values[:, tilt]))
    return replace(trial, motion=replace(trial.motion, values=values))


def with_other_knees(trial: Trial) -> Trial:
    """The same motion of a model whose knees flex to the negative side."""
    joints = []
    for joint in trial.skeleton.joints:
        rotations = tuple(
            replace(axis, direction=-axis.direction) if str(axis.coordinate).startswith("knee_angle") else axis
            for axis in joint.rotations
        )
        joints.append(replace(joint, rotations=rotations))
    is_knee = [name.startswith("knee_angle") for name in trial.motion.coordinates]
    values = np.where(is_knee, -trial.motion.values, trial.motion.values)
    skeleton = replace(trial.skeleton, joints=tuple(joints))
    return replace(trial, skeleton=skeleton, motion=replace(trial.motion, values=values))


def without(trial: Trial, *names: str) -> Trial:
    observed = trial.motion.observed & ~np.isin(trial.motion.coordinates, names)
    return replace(trial, motion=replace(trial.motion, observed=observed))


def shortened(trial: Trial, num_frames: int) -> Trial:
    motion = trial.motion
    parts = (part[:num_frames] for part in (motion.time_s, motion.values, motion.observed))
    return replace(trial, motion=replace(motion, **dict(zip(("time_s", "values", "observed"), parts, strict=True))))


def encoded(trial: Trial) -> PublishedState:
    return encode_canonical(trial, times_of(trial.motion), belt_speed_m_s=0.0)


def test_the_state_does_not_depend_on_heading(trial: Trial) -> None:
    expected = encoded(trial).values
    for degrees in (37, 90, -135, 180):
        found = encoded(turned_about_the_vertical(trial, np.radians(degrees))).values
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_the_state_does_not_depend_on_the_sign_of_the_knee(trial: Trial) -> None:
    other = with_other_knees(trial)
    assert has_other_knee_sign(other.skeleton)
    assert not has_other_knee_sign(trial.skeleton)
    np.testing.assert_allclose(encoded(other).values, encoded(trial).values, atol=1e-5)


def test_the_authors_preprocessing_and_ours_agree_where_they_should(trial: Trial) -> None:
    theirs, ours = encode_as_published(trial, belt_speed_m_s=0.0), encoded(trial)
    np.testing.assert_allclose(ours.time_s[: len(theirs.time_s)], theirs.time_s, atol=1e-9)
    np.testing.assert_array_equal(ours.known[0], theirs.known[0])
    hinges = PUBLISHED.columns(HINGES)
    difference = np.abs(ours.values[: len(theirs.values)] - theirs.values)
    assert difference[:, np.setdiff1d(KINEMATIC_COLUMNS, hinges)].max() < 2e-4
    assert difference[:, hinges].max() < 0.06  # the bundled foot has other axes than the Rajagopal model's


def test_a_state_comes_back_as_the_coordinates_it_was_made_of(trial: Trial) -> None:
    state = encode_as_published(trial, belt_speed_m_s=0.4)
    names = coordinates_by_name(trial.motion)
    found = decode_coordinates(state)
    one_frame_early = names.pelvis_m[1 : len(found.time_s)]  # a frame's velocity is added before its position is said
    assert np.abs(found.pelvis_m[:-1] - one_frame_early).max() < 5e-3  # low-passed at 10 Hz
    assert np.abs(found.ball_rad - names.ball_rad[: len(found.time_s)]).max() < 1e-5
    assert np.abs(found.hinge_rad - names.hinge_rad[: len(found.time_s)]).max() < 1e-5
    values = values_by_name(trial.skeleton, found)
    assert values.shape == (len(found.time_s), len(trial.skeleton.coordinates))


def test_measured_forces_come_back_from_the_state(trial: Trial) -> None:
    time_s = times_of(trial.motion)
    shape = (len(time_s), 2, 3)
    random = np.random.default_rng(2)
    force_n = random.normal(size=shape) * 50 + np.array([0.0, 400.0, 0.0])
    forces = GroundReaction(time_s, force_n, random.normal(size=shape), np.zeros(shape[:2]), np.ones(shape[:2], bool))
    forces.valid[:10, 0] = False
    turned = replace(turned_about_the_vertical(trial, 0.7), forces=forces)
    state = encoded(turned)
    assert not state.known[:10, FORCE_COLUMNS[:6]].any()
    assert state.known[:, FORCE_COLUMNS[6:]].all()
    origins = hindfoot_origins(turned.skeleton, turned.motion.values)
    found_n, found_m = decode_forces(state.values[:, FORCE_COLUMNS], state.frame, origins)
    np.testing.assert_allclose(found_n[10:], force_n[10:], atol=1e-3)
    np.testing.assert_allclose(found_m[10:], forces.cop_m[10:], atol=1e-5)


def test_a_joint_of_which_an_axis_is_missing_is_masked_whole(trial: Trial) -> None:
    gappy = without(trial, "hip_rotation_r", "subtalar_angle_l")
    missing = {
        *(name for name in PUBLISHED.names if name.startswith("hip_r")),
        "subtalar_angle_l",
        "subtalar_angle_l_vel",
        *(PUBLISHED.names[i] for i in FORCE_COLUMNS),
    }
    for state in (encode_as_published(gappy, belt_speed_m_s=0.0), encoded(gappy)):
        unknown = {name for name, known in zip(PUBLISHED.names, state.known.T, strict=True) if not known.any()}
        assert unknown == missing


# --- pipeline --------------------------------------------------------------------------------------------------------


def models_of(*weights: Weights) -> PublishedModels:
    return PublishedModels.of(weights)


def test_our_pipeline_answers_at_the_motions_own_times(trial: Trial, tiny: tuple[Weights, Weights]) -> None:
    motion = trial.motion
    fast = replace(motion, time_s=motion.time_s[0] + (motion.time_s - motion.time_s[0]) / 1.7)
    found = estimate_published(
        replace(trial, motion=fast, belt_speed_m_s=None), models_of(tiny[0]), is_published_pipeline=False
    )
    np.testing.assert_array_equal(found.forces.time_s, fast.time_s)
    vertical = found.forces.force_n[..., 1]
    assert (vertical > CONTACT_FORCE_N).any()
    assert (vertical == 0).any()
    assert not ((vertical != 0) & (vertical < CONTACT_FORCE_N)).any()
    assert not found.forces.cop_m[vertical == 0].any()
    assert found.warnings == ()


def test_our_pipeline_turns_with_the_person(trial: Trial, tiny: tuple[Weights, Weights]) -> None:
    turn = from_flexion_adduction_rotation(np.array([0.0, 0.0, 2.0]))
    straight, turned = (
        estimate_published(each, models_of(tiny[0]), is_published_pipeline=False).forces
        for each in (trial, turned_about_the_vertical(trial, 2.0))
    )
    np.testing.assert_allclose(turned.force_n, straight.force_n @ turn.T, atol=0.05)


def test_windows_of_our_pipeline_leave_no_seams(trial: Trial, tiny: tuple[Weights, Weights]) -> None:
    ours, theirs = (
        estimate_published(trial, models_of(tiny[0]), is_published_pipeline=published).forces
        for published in (False, True)
    )
    steps = np.abs(np.diff(theirs.force_n[:, 0, 0]))
    seams = np.arange(149, len(steps), 150)
    assert steps[seams].max() > 3 * np.median(steps), "the authors' windows show seams, or this shows nothing"
    assert np.abs(np.diff(ours.force_n[:, 0, 0]))[seams].max() < steps[seams].max()


def test_missing_kinematics_are_drawn_and_the_seed_decides(trial: Trial, tiny: tuple[Weights, Weights]) -> None:
    gappy = without(shortened(trial, 90), "lumbar_extension")
    for published in (False, True):
        one, same, other = (
            estimate_published(gappy, models_of(*tiny), is_published_pipeline=published, seed=seed)
            for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(one.forces.force_n, same.forces.force_n)
        assert np.abs(one.forces.force_n - other.forces.force_n).max() > 0.1
        assert one.warnings[0].startswith("Not measured: lumbar; completed by the diffusion model.")
    alone = estimate_published(gappy, models_of(tiny[0]), is_published_pipeline=False)
    assert "middle of the training data's range" in alone.warnings[0]


def test_the_diffusion_model_alone_gives_forces_too(trial: Trial, tiny: tuple[Weights, Weights]) -> None:
    trial = shortened(trial, 90)
    found = estimate_published(trial, models_of(tiny[1]), is_published_pipeline=False)
    assert found.forces.force_n.shape == (90, 2, 3)
    assert np.abs(found.forces.force_n).max() > CONTACT_FORCE_N
    with pytest.raises(InputFileError, match="takes its forces from the refinement network"):
        estimate_published(trial, models_of(tiny[1]), is_published_pipeline=True)


def test_a_short_motion_is_one_padded_window(trial: Trial, tiny: tuple[Weights, Weights]) -> None:
    for published in (False, True):
        found = estimate_published(shortened(trial, 12), models_of(tiny[0]), is_published_pipeline=published)
        assert np.isfinite(found.forces.force_n).all()


def test_the_published_pipeline_warns_of_knees_of_the_other_sign(trial: Trial, tiny: tuple[Weights, Weights]) -> None:
    other = with_other_knees(trial)
    found = estimate_published(other, models_of(tiny[0]), is_published_pipeline=True)
    assert any("flex to the negative side" in warning for warning in found.warnings)
    assert estimate_published(other, models_of(tiny[0]), is_published_pipeline=False).warnings == ()


# --- agreement with the authors' program -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """The authors' results, and what ours are made from."""

    folder: Path
    refinement: Weights
    diffusion: Weights
    trial: Trial
    networks: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def reference(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder, out = shared / "parity", tmp_path_factory.mktemp("converted")
    skeleton = read_model(folder / "model.osim")
    motion, _ = read_motion(folder / "walk_treadmill_50hz.mot", skeleton.coordinates)
    subject = Subject("reference", 86.04, 1.876)
    return Reference(
        folder,
        convert_published(folder / "GaitDynamicsRefinement.pt", out / "refinement"),
        convert_published(folder / "GaitDynamicsDiffusion.pt", out / "diffusion", num_heads=4),
        Trial("walk", subject, skeleton.scaled_to(subject.mass_kg), motion, None, BELT_SPEED_M_S, "reference"),
        dict(np.load(folder / "network_io.npz")),
    )


def test_both_networks_answer_as_the_authors_do(reference: Reference) -> None:
    x, step = (torch.from_numpy(reference.networks[name]) for name in ("x", "timestep"))
    with torch.no_grad():
        refined = build_refinement(reference.refinement)(x[..., KINEMATIC_COLUMNS])
        denoised = build_diffusion(reference.diffusion)(x, step)
    assert np.abs(refined.numpy() - reference.networks["refinement_output"]).max() < NETWORK_BOUND
    assert np.abs(denoised.numpy() - reference.networks["diffusion_output"]).max() < NETWORK_BOUND


def test_the_state_is_the_authors(reference: Reference) -> None:
    state = encode_as_published(reference.trial, belt_speed_m_s=BELT_SPEED_M_S)
    expected = reference.networks
    assert list(expected["state_names"]) == list(PUBLISHED.names)
    assert np.abs(state.frame.turn - expected["align_rotation"]).max() < 1e-6
    assert np.abs(state.frame.origin_m - expected["pos_vec"]).max() < 1e-6
    assert state.values.shape == expected["unnormalized_states"].shape
    assert np.abs(state.values - expected["unnormalized_states"]).max() < STATE_BOUND
    normalised = normalizer_of(reference.refinement).apply(state.values)
    assert np.abs(normalised - expected["normalized_states"]).max() < NORMALISED_BOUND


@pytest.mark.parametrize("way", ["inpaint", "guided"])
def test_sampling_with_the_recorded_noise_gives_the_authors_windows(reference: Reference, way: str) -> None:
    recorded = {name: torch.from_numpy(array) for name, array in np.load(reference.folder / "sampling_io.npz").items()}
    draws = iter([recorded[f"{way}_start_noise"], *recorded[f"{way}_replacement_noise"]])
    guidance = Guidance(recorded["known_value"], recorded["guided_dead_band"], recorded["guided_weight"])
    found = sample(
        build_diffusion(reference.diffusion),
        recorded["known_value"],
        recorded["known_mask"],
        draw_noise=lambda: next(draws),
        guidance=guidance if way == "guided" else None,
    )
    assert np.abs((found - recorded[f"{way}_result"]).numpy()).max() < NETWORK_BOUND
    assert next(draws, None) is None


def test_the_schedule_is_the_authors(reference: Reference) -> None:
    np.testing.assert_allclose(betas(), reference.networks["betas"], rtol=1e-12)


def test_the_whole_pipeline_gives_the_authors_forces(reference: Reference) -> None:
    models = models_of(reference.refinement)
    found = estimate_published(reference.trial, models, is_published_pipeline=True).forces
    lines = (reference.folder / "walk_treadmill_50hz_grf_pred___.mot").read_text().split("endheader\n")[1]
    expected = np.loadtxt(io.StringIO(lines), skiprows=1)
    np.testing.assert_allclose(found.time_s, expected[:, 0], atol=1e-9)
    force_n, cop_m, torque = np.moveaxis(expected[:, 1:].reshape(-1, 2, 3, 3), 2, 0)
    assert np.abs(found.force_n - force_n).max() < FORCE_BOUND_N
    assert not torque.any()
    assert not found.free_moment_nm.any()
    assert (found.cop_m.any(axis=-1) == cop_m.any(axis=-1)).all()
    # Near 20 N the centre of pressure is a quotient of small numbers: there one unit in the last place of the
    # network's float32 answer, which differs from one processor to the next, moves it by more than the bound.
    is_near_nothing = force_n[..., 1] < 1.05 * CONTACT_FORCE_N
    error_m = np.abs(found.cop_m - cop_m).max(axis=-1)
    assert error_m[~is_near_nothing].max() < COP_BOUND_M
    assert is_near_nothing[cop_m.any(axis=-1)].mean() < 0.01
    assert error_m.max() < 20 * COP_BOUND_M


def test_our_pipeline_stays_near_the_authors_on_their_trial(reference: Reference) -> None:
    models = models_of(reference.refinement)
    theirs, ours = (
        estimate_published(reference.trial, models, is_published_pipeline=published).forces
        for published in (True, False)
    )
    assert len(ours.time_s) == 311
    middle = theirs.force_n[75:600:2][:, :, 1]  # every second frame of theirs is one of ours
    assert np.corrcoef(middle.ravel(), ours.force_n[37 : 37 + len(middle), :, 1].ravel())[0, 1] > 0.7


def test_a_model_of_the_other_knee_sign_is_mapped(shared: Path) -> None:
    folder = shared / "samples" / "gait2354"
    skeleton = read_model(folder / "model.osim")
    motion, _ = read_motion(folder / "ik.mot", skeleton.coordinates)
    found = canonical_coordinates(
        Trial("g", Subject("g", 75.0, 1.8), skeleton, motion, None, 0.0, ""), times_of(motion)
    )
    assert has_other_knee_sign(skeleton)
    knees = motion.values[:, [motion.coordinates.index(f"knee_angle_{side}") for side in "rl"]]
    assert np.abs(found.hinge_rad[:, [0, 3]].max(axis=0) + knees.min(axis=0)).max() < 0.02
    ankles = motion.values[:, [motion.coordinates.index(f"ankle_angle_{side}") for side in "rl"]]
    assert np.abs(found.hinge_rad[:, [1, 4]].max(axis=0) - ankles.max(axis=0)).max() < 0.02
