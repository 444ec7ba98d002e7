"""Rotations by their group axioms, and there and back."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.transform

from gaitdynamics.maths.rotations import (
    flexion_adduction_rotation,
    from_flexion_adduction_rotation,
    heading_axes,
    median_heading,
    rotation_vector,
)

LIMITS = np.array([np.pi, np.pi / 2, np.pi])  # of the angles about z, x and y


def random_angles(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.98, 0.98, (*shape, 3)) * LIMITS


def test_angles_of_a_rotation_made_from_angles_are_those_angles() -> None:
    angles = random_angles(4, 25)
    np.testing.assert_allclose(flexion_adduction_rotation(from_flexion_adduction_rotation(angles)), angles, atol=1e-9)


def test_a_rotation_made_from_its_angles_is_that_rotation() -> None:
    rotation = scipy.spatial.transform.Rotation.random(100, random_state=0).as_matrix()
    np.testing.assert_allclose(
        from_flexion_adduction_rotation(flexion_adduction_rotation(rotation)), rotation, atol=1e-9
    )


def test_the_sequence_is_intrinsic_about_z_then_x_then_y() -> None:
    angles = random_angles(50)
    expected = scipy.spatial.transform.Rotation.from_euler("ZXY", angles).as_matrix()
    np.testing.assert_allclose(from_flexion_adduction_rotation(angles), expected, atol=1e-12)


def test_a_quarter_turn_of_adduction_still_gives_finite_angles() -> None:
    rotation = from_flexion_adduction_rotation(np.array([0.3, np.pi / 2, 0.2]))
    angles = flexion_adduction_rotation(rotation)
    assert np.isfinite(angles).all()


def test_a_rotation_vector_is_axis_times_angle() -> None:
    random = np.random.default_rng(0)
    axis = random.normal(size=(200, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    vectors = axis * random.uniform(0.0, 3.1, (200, 1))
    rotation = scipy.spatial.transform.Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(rotation_vector(rotation), vectors, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-7, 1e-4])
def test_a_small_rotation_has_a_small_vector_to_full_precision(angle: float) -> None:
    vector = angle * np.array([0.6, 0.0, 0.8])
    cross = np.cross(np.eye(3), vector)
    rotation = scipy.linalg.expm(cross)
    np.testing.assert_allclose(rotation_vector(rotation), vector, rtol=1e-9, atol=1e-15)


def test_the_inverse_rotation_has_the_opposite_vector() -> None:
    rotation = from_flexion_adduction_rotation(random_angles(30) * 0.5)
    np.testing.assert_allclose(rotation_vector(rotation.swapaxes(-1, -2)), -rotation_vector(rotation), atol=1e-12)


@pytest.mark.parametrize("degrees", [0, 45, 90, 179, 180, -179, -90, 270])
def test_the_median_heading_is_that_of_most_frames_at_every_angle_and_across_the_seam(degrees: int) -> None:
    angle = np.radians(degrees) + np.random.default_rng(0).normal(scale=0.1, size=501)
    angle[:20] += 1.0
    forward = np.stack([np.cos(angle), 0.3 * np.sin(angle * 3), -np.sin(angle)], axis=1)
    expected = [np.cos(np.radians(degrees)), 0.0, -np.sin(np.radians(degrees))]
    heading = median_heading(forward)
    np.testing.assert_allclose(heading, expected, atol=0.03)
    assert np.linalg.norm(heading) == pytest.approx(1.0)


def test_heading_axes_are_a_right_handed_frame_with_forward_first() -> None:
    angle = np.linspace(-3, 3, 7)
    heading = np.stack([np.cos(angle), np.zeros(7), -np.sin(angle)], axis=1)
    axes = heading_axes(heading)
    np.testing.assert_allclose(axes @ axes.swapaxes(-1, -2), np.broadcast_to(np.eye(3), (7, 3, 3)), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(axes), 1.0)
    np.testing.assert_allclose(
        (axes @ heading[..., None])[..., 0], np.broadcast_to([1.0, 0.0, 0.0], (7, 3)), atol=1e-14
    )
    np.testing.assert_allclose(heading_axes(np.array([1.0, 0.0, 0.0])), np.eye(3))
