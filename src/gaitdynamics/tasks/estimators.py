"""Estimators of forces by name: what `--weights` takes."""

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gaitdynamics.errors import InputFileError
from gaitdynamics.model.checkpoint import DESCRIPTION_FILE, Weights, load_weights
from gaitdynamics.model.forces import KIND as FORCES_KIND
from gaitdynamics.model.published import PUBLISHED_KINDS
from gaitdynamics.tasks.estimate_forces import PHYSICS, estimate_forces
from gaitdynamics.tasks.learned_forces import LearnedForces
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.trial import Trial

if TYPE_CHECKING:
    from gaitdynamics.model.speed_response import SpeedResponse
    from gaitdynamics.tasks.fill_motion import MotionCompleter


class Estimator(Protocol):
    """Forces of a trial; the same seed gives the same forces."""

    def __call__(self, trial: Trial, *, seed: int = 0) -> Prediction: ...


def load_estimator(weights: str, *, is_published_pipeline: bool = False) -> Estimator:
    """The estimator that a user named.

    Args:
        weights: 'physics', the name of bundled weights, a folder of weights, or a folder of such folders (the authors'
            refinement and diffusion weights side by side).
        is_published_pipeline: the authors' own preprocessing and windows; for their weights only.

    Raises:
        InputFileError: no such weights, or they can't be used.
    """
    if weights == PHYSICS:
        if is_published_pipeline:
            raise InputFileError(
                f"the published pipeline runs the authors' weights, not '{PHYSICS}'. Convert their files with "
                "'gaitdynamics weights convert', and give the folder with --weights."
            )
        return estimate_forces
    loaded = load_all(weights)
    kinds = {found.kind for found in loaded}
    if kinds <= set(PUBLISHED_KINDS):
        # Their filters need scipy.signal, two thirds of a second to import, which our own weights do without.
        from gaitdynamics.tasks.published_pipeline import PublishedModels, estimate_published

        return partial(
            estimate_published, models=PublishedModels.of(loaded), is_published_pipeline=is_published_pipeline
        )
    if kinds == {FORCES_KIND} and len(loaded) == 1 and not is_published_pipeline:
        return LearnedForces.of(loaded[0])
    raise InputFileError(
        f"{weights}: holds weights of kind {', '.join(sorted(kinds))}, which can't be run so. "
        f"Expected {FORCES_KIND}, or {' and '.join(PUBLISHED_KINDS)}, which alone take --published-pipeline."
    )


def load_completer(weights: str) -> "MotionCompleter":
    """What completes motions, by name.

    Args:
        weights: the name of bundled weights, or a folder of weights.

    Raises:
        InputFileError: no such weights, or they can't be used.
    """
    from gaitdynamics.tasks.fill_motion import MotionCompleter

    return MotionCompleter.of(load_weights(weights_folder(weights)))


def load_speed_response(weights: str) -> "SpeedResponse":
    """How gait changes with speed, by name.

    Args:
        weights: the name of bundled weights, or a folder of weights.

    Raises:
        InputFileError: no such weights, or they can't be used.
    """
    from gaitdynamics.model.speed_response import speed_response

    return speed_response(load_weights(weights_folder(weights)))


def load_all(name: str) -> tuple[Weights, ...]:
    """The weights of that name or folder; several if the folder holds folders of weights.

    Raises:
        InputFileError: no such weights, or they can't be read.
    """
    folder = weights_folder(name)
    inside = sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION_FILE}"))
    if (folder / DESCRIPTION_FILE).exists() or not inside:
        return (load_weights(folder),)
    return tuple(load_weights(each) for each in inside)


def weights_folder(name: str) -> Path:
    """Where the weights of that name are; a path is its own name.

    Raises:
        InputFileError: no such weights.
    """
    bundled = bundled_weights()
    if name in bundled:
        return bundled[name]
    if Path(name).is_dir():
        return Path(name)
    names = ", ".join(f"'{known}'" for known in (PHYSICS, *bundled))
    raise InputFileError(f"no weights called '{name}'; expected {names}, or a folder of weights.")


def bundled_weights() -> dict[str, Path]:
    """Weights that come with this version, by name."""
    folder = Path(str(files("gaitdynamics"))) / "assets" / "weights"
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{DESCRIPTION_FILE}"))}
