"""From a study's files to trials with measured forces."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from gaitdynamics.biomech.anthropometry import estimated_height_m
from gaitdynamics.biomech.kinematics import foot_paths, posed
from gaitdynamics.io.forces import assign_feet, ground_reaction_from_sides, read_plates
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.study import StudyTrial
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

OVERGROUND = "overground"


def load_trial(study_trial: StudyTrial) -> Trial:
    """Read one trial of a study: model scaled to the person's mass, motion, measured forces.

    Raises:
        GaitDynamicsError: a file is missing or not what it should be.
    """
    skeleton = _model(study_trial.model_path).scaled_to(study_trial.mass_kg)
    height_m = study_trial.height_m
    subject = Subject(
        id=f"{study_trial.dataset}/{study_trial.subject}",
        mass_kg=study_trial.mass_kg,
        height_m=estimated_height_m(skeleton) if height_m is None else height_m,
        sex=study_trial.sex,
        age_years=study_trial.age_years,
    )
    motion, _ = read_motion(study_trial.motion_path, skeleton.coordinates)
    is_measured = np.array([name not in study_trial.unmeasured_coordinates for name in motion.coordinates])
    motion = replace(
        motion,
        values=skeleton.with_coupled_values(motion.values),
        observed=motion.observed & is_measured,
    )
    return Trial(
        name=study_trial.name,
        subject=subject,
        skeleton=skeleton,
        motion=motion,
        forces=measured_forces(study_trial.forces_path, skeleton, motion, height_m=subject.height_m),
        belt_speed_m_s=0.0 if study_trial.surface == OVERGROUND else study_trial.belt_speed_m_s,
        source=study_trial.dataset,
    )


def measured_forces(path: Path, skeleton: Skeleton, motion: Motion, *, height_m: float) -> GroundReaction:
    """Measured forces on each foot, at the file's own times; where it does not name the feet, on the nearer one."""
    plates = read_plates(path)
    if all(plate.side is not None for plate in plates):
        return ground_reaction_from_sides(plates)
    feet_m = foot_paths(skeleton, posed(skeleton, motion.values), height_m=height_m).points_m.mean(axis=2)
    return assign_feet(plates, motion.time_s, feet_m)


@lru_cache(maxsize=4)
def _model(path: Path) -> Skeleton:
    return read_model(path)
