"""From a generic model and a static recording to a model of the person."""

from pathlib import Path

import numpy as np

from gaitdynamics.apps.estimate_files import Written, check_inputs_kept
from gaitdynamics.biomech.body_scaling import fit_body
from gaitdynamics.errors import InvalidModelError
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.inverse_kinematics import matching
from gaitdynamics.io.markers import read_markers
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.scaled_to_static import read_marker_places, scaled_text, standing_places
from gaitdynamics.types.subject import Subject
from gaitdynamics.units import MILLIMETRES_PER_METRE

USUAL_ERROR_MM = 20.0  # root mean square between markers of the scaled model, not yet moved, and of the person


def scaled_path(model_path: Path, out: Path) -> Path:
    """The model that is written."""
    return out / f"{model_path.stem}_scaled.osim"


def scale_file(
    static_path: Path, model_path: Path, *, mass_kg: float, up: str | None = None, out: Path, overwrite: bool = False
) -> Written:
    """Scale a generic model to a person who stands still, and put its markers where the person's are.

    Args:
        static_path: .trc or .c3d of the person standing still.
        model_path: .osim with markers.
        mass_kg: of the person.
        up: direction of the recording's axes that is up; None to find out.

    Raises:
        GaitDynamicsError: a file can't be read, the person moves, they do not fit, or the model can't be written.
    """
    path = scaled_path(model_path, out)
    check_inputs_kept([path], [static_path, model_path])
    check_writable([path], overwrite=overwrite)
    recording = read_markers(static_path, up=up)
    places = read_marker_places(model_path)
    match = matching(places.names, recording.markers.names, model_path=model_path, source=static_path.name)
    standing = standing_places(recording.markers, source=static_path.name)
    skeleton = read_model(model_path)
    Subject(static_path.stem, mass_kg=mass_kg, height_m=1.0)  # refuses a mass that is nobody's
    used = [name for name in standing.names if name in match.model_names]
    which = [places.names.index(match.model_names[name]) for name in used]
    try:
        fit = fit_body(
            skeleton,
            bodies=[places.bodies[k] for k in which],
            place_in_body_m=places.place_in_body_m[which],
            seen_m=np.array([standing.position_m[0, standing.names.index(name)] for name in used]),
        )
    except InvalidModelError as error:
        raise InvalidModelError(f"{static_path.name} and {model_path.name}: {error}") from None
    text = scaled_text(
        model_path,
        name=path.stem,
        factors=fit.factors,
        mass_kg=mass_kg,
        markers=[places.names[k] for k in which],
        place_in_body_m=fit.places_m,
    )
    rms_mm = float(np.sqrt((fit.error_m**2).mean())) * MILLIMETRES_PER_METRE
    warnings = list(recording.warnings)
    if rms_mm > USUAL_ERROR_MM:
        worst = used[int(np.argmax(fit.error_m))]
        warnings.append(
            f"{static_path.name}: even scaled, the model's markers are {rms_mm:.0f} mm from the person's in the root "
            f"mean square, '{worst}' most of all. Look for swapped or misnamed markers."
        )
    write_files({path: text}, overwrite=overwrite)
    summary = {
        "factors": {body: round(factor, 4) for body, factor in fit.factors.items()},
        "rms_mm": round(rms_mm, 2),
        "warnings": warnings,
    }
    return Written((path,), summary)
