"""Rotation matrices: (..., 3, 3) arrays; angles in radians."""

import numpy as np


def flexion_adduction_rotation(rotation: np.ndarray) -> np.ndarray:
    """Cardan angles about z (forward-up plane), then x, then y of a distal segment in its proximal one.

    With segment axes x forward, y up, z right this is the sequence of the joint coordinate system (Grood and Suntay
    1983, J Biomech Eng 105:136; Wu et al. 2002, J Biomech 35:543) and of OpenSim's hips.

    Args:
        rotation: (..., 3, 3).

    Returns:
        (..., 3): about z, x and y.
    """
    first = np.arctan2(-rotation[..., 0, 1], rotation[..., 1, 1])
    second = np.arcsin(np.clip(rotation[..., 2, 1], -1.0, 1.0))
    third = np.arctan2(-rotation[..., 2, 0], rotation[..., 2, 2])
    return np.stack([first, second, third], axis=-1)


def from_flexion_adduction_rotation(angles: np.ndarray) -> np.ndarray:
    """The inverse of `flexion_adduction_rotation`: (..., 3) to (..., 3, 3)."""
    (cz, cx, cy), (sz, sx, sy) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    rows = [
        [cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy],
        [sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy],
        [-cx * sy, sx, cx * cy],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Axis times angle, (..., 3, 3) to (..., 3); for angles below a half turn."""
    twist = np.stack(
        [
            rotation[..., 2, 1] - rotation[..., 1, 2],
            rotation[..., 0, 2] - rotation[..., 2, 0],
            rotation[..., 1, 0] - rotation[..., 0, 1],
        ],
        axis=-1,
    )
    sine = np.linalg.norm(twist, axis=-1, keepdims=True) / 2
    cosine = (np.trace(rotation, axis1=-2, axis2=-1)[..., None] - 1) / 2
    angle = np.arctan2(sine, cosine)
    return twist / 2 * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 1.0)


def median_heading(forward: np.ndarray) -> np.ndarray:
    """The horizontal direction that a forward axis has on the median, a unit vector.

    Args:
        forward: (T, 3), in the ground frame.

    Returns:
        (3,), horizontal; robust to a few frames that point elsewhere, and to the ±180° seam.
    """
    angles = np.unwrap(np.arctan2(-forward[:, 2], forward[:, 0]))
    angle = np.median(angles)
    return np.array([np.cos(angle), 0.0, -np.sin(angle)])


def heading_axes(heading: np.ndarray) -> np.ndarray:
    """Rows forward, up, right: takes a ground vector to heading axes, (..., 3) to (..., 3, 3)."""
    up = np.broadcast_to(np.array([0.0, 1.0, 0.0]), heading.shape)
    return np.stack([heading, up, np.cross(heading, up)], axis=-2)
