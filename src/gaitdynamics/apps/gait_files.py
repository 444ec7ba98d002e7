"""The files of one gait: motion, forces and external loads; and what a record says of how real it is."""

from pathlib import Path

import numpy as np

from gaitdynamics.biomech.realism import Residual, mean_vertical_bw
from gaitdynamics.io.external_loads import format_external_loads
from gaitdynamics.io.forces import format_forces
from gaitdynamics.io.motion import format_motion
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

GAIT_SUFFIXES = ("_motion.mot", "_forces.mot", "_external_loads.xml")
REALISM_DECIMALS = 4


def gait_paths(stem: Path) -> tuple[Path, Path, Path]:
    """Motion, forces and external loads of a gait, from what their names begin with."""
    motion, forces, loads = (stem.with_name(f"{stem.name}{suffix}") for suffix in GAIT_SUFFIXES)
    return motion, forces, loads


def gait_contents(trial: Trial, forces: GroundReaction, paths: tuple[Path, Path, Path]) -> dict[Path, str]:
    """What is in the files of a gait, as `gait_paths` names them."""
    motion_path, forces_path, loads_path = paths
    skeleton = trial.skeleton
    right, left = (foot.hindfoot for foot in skeleton.feet)
    return {
        motion_path: format_motion(trial.motion, skeleton.coordinates, name=motion_path.stem),
        forces_path: format_forces(forces, name=forces_path.stem),
        loads_path: format_external_loads(forces_path.name, bodies=(right, left)),
    }


def gait_names(paths: tuple[Path, Path, Path]) -> dict[str, str]:
    """What a record calls the files of a gait; JSON values."""
    motion, forces, loads = (path.name for path in paths)
    return {"motion": motion, "forces": forces, "external_loads": loads}


def realism_content(
    subject: Subject, forces: GroundReaction, residual: Residual, *, sliding_m_s: float
) -> dict[str, float | None]:
    """Whether a person could move so; JSON values.

    Args:
        subject: who moves.
        forces: on both feet.
        residual: of forces and motion.
        sliding_m_s: of loaded feet; NaN where none is loaded.
    """
    mean_bw = mean_vertical_bw(forces, body_weight_n=subject.body_weight_n)
    size_nm = subject.body_weight_n * subject.height_m
    return {
        "mean_vertical_bw": None if mean_bw is None else round(mean_bw, REALISM_DECIMALS),
        "force_residual_bw": round(_rms(residual.force_n) / subject.body_weight_n, REALISM_DECIMALS),
        "moment_residual_bw_height": round(_rms(residual.moment_nm) / size_nm, REALISM_DECIMALS),
        "foot_sliding_m_s": round(sliding_m_s, REALISM_DECIMALS) if np.isfinite(sliding_m_s) else None,
    }


def _rms(vectors: np.ndarray) -> float:
    return float(np.sqrt((vectors**2).sum(axis=1).mean()))
