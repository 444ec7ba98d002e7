"""From a height and a mass to a generic body's model file."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gaitdynamics.apps.generate_files import scaled_body
from gaitdynamics.errors import InvalidSubjectError
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.mass_shares import with_masses
from gaitdynamics.types.side import words_of

# Shares of body mass in %, de Leva 1996, J Biomech 29:1223, Table 4. The bundled body has the men's.
_SHARES_PCT = {
    "male": {"pelvis": 11.17, "femur": 14.16, "tibia": 4.33, "foot": 1.37},
    "female": {"pelvis": 12.47, "femur": 14.78, "tibia": 4.81, "foot": 1.29},
}
SEXES = tuple(_SHARES_PCT)
_PART_OF_BODY = {
    "pelvis": "pelvis",
    "femur": "femur",
    "tibia": "tibia",
    "talus": "foot",
    "calcn": "foot",
    "toes": "foot",
}
APPROXIMATE = (
    "This is a generic body, scaled alike in all directions from published averages: approximate. Joint centres of a "
    "real person differ by centimetres; forces and moments made with it are less certain than with a model scaled to "
    "the person."
)


@dataclass(frozen=True)
class WrittenBody:
    """The model file, and what the user must know about it."""

    path: Path
    warnings: tuple[str, ...]


def body_file(
    path: Path, *, height_m: float, mass_kg: float, sex: str | None = None, overwrite: bool = False
) -> WrittenBody:
    """Write a generic body of that height and mass: legs with Rajagopal's names of coordinates, and a trunk with arms.

    Args:
        path: .osim to write.
        sex: 'female' or 'male' for that sex's mass shares of segments; None for men's, the bundled body's.

    Raises:
        InvalidSubjectError: no person is of that height, mass or sex.
        OutputError: the file exists, or can't be written.
    """
    check_writable([path], overwrite=overwrite)
    write_files({path: body_text(path.stem, height_m=height_m, mass_kg=mass_kg, sex=sex)}, overwrite=overwrite)
    return WrittenBody(path, (APPROXIMATE,))


def body_text(name: str, *, height_m: float, mass_kg: float, sex: str | None = None) -> str:
    """Text of the model.

    Raises:
        InvalidSubjectError: no person is of that height, mass or sex.
    """
    if sex is not None and sex not in SEXES:
        raise InvalidSubjectError(f"the sex '{sex}' is none that there are averages of; expected {' or '.join(SEXES)}.")
    person, text = scaled_body(height_m=height_m, mass_kg=mass_kg)
    masses_kg = {body.name: body.mass_kg for body in person.skeleton.bodies}
    if sex == "female":
        masses_kg = _womens(masses_kg)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "body.osim"
        path.write_text(text, encoding="utf-8")
        return with_masses(path, name=re.sub(r"\W+", "_", name) or "body", masses_kg=masses_kg)


def _womens(masses_kg: dict[str, float]) -> dict[str, float]:
    """Masses with women's shares; the trunk, which carries head and arms, has the rest."""
    ratio = {part: _SHARES_PCT["female"][part] / share for part, share in _SHARES_PCT["male"].items()}
    changed = {
        name: mass * ratio[_PART_OF_BODY[words_of(name)[0]]]
        for name, mass in masses_kg.items()
        if words_of(name)[0] in _PART_OF_BODY
    }
    rest = [name for name in masses_kg if name not in changed]
    left_kg = sum(masses_kg.values()) - sum(changed.values())
    carried_kg = sum(masses_kg[name] for name in rest)
    return changed | {name: masses_kg[name] * left_kg / carried_kg for name in rest}
