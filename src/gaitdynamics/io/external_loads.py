"""OpenSim's ExternalLoads (.xml): which force acts on which body."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.forces import Plate, identifiers, make_plate
from gaitdynamics.io.table import read_table, read_text
from gaitdynamics.types.side import side_of
from gaitdynamics.units import SIDE_NAMES, SIDES

_IDENTIFIERS = ("force", "point", "torque")
_LOADS = """\
<?xml version="1.0" encoding="UTF-8" ?>
<OpenSimDocument Version="40000">
	<ExternalLoads name="ground_reaction">
		<objects>
{forces}\
		</objects>
		<groups />
		<datafile>{data_file}</datafile>
	</ExternalLoads>
</OpenSimDocument>
"""
_FORCE = """\
			<ExternalForce name="{name}">
				<applied_to_body>{body}</applied_to_body>
				<force_expressed_in_body>ground</force_expressed_in_body>
				<point_expressed_in_body>ground</point_expressed_in_body>
				<force_identifier>{force}</force_identifier>
				<point_identifier>{point}</point_identifier>
				<torque_identifier>{torque}</torque_identifier>
			</ExternalForce>
"""


@dataclass(frozen=True)
class ExternalForce:
    """A force on a body, expressed in ground.

    Args:
        name: of the force.
        body: that it acts on.
        force_identifier: what the labels of the force's three columns begin with.
        point_identifier: the same for the point of application.
        torque_identifier: the same for the torque; None if there is none.
        data_path: the file with the columns.
    """

    name: str
    body: str
    force_identifier: str
    point_identifier: str
    torque_identifier: str | None
    data_path: Path


def read_external_loads(path: str | Path) -> tuple[ExternalForce, ...]:
    """Read an ExternalLoads file.

    Args:
        path: .xml; its data file is looked for in the same folder, unless given absolutely.

    Returns:
        Its forces in the order of the file.

    Raises:
        InputFileError: no ExternalLoads, something missing in it, or a force not expressed in ground.
    """
    path = Path(path)
    text = read_text(path)
    try:
        document = ElementTree.fromstring(text.strip())
    except ElementTree.ParseError as error:
        raise InputFileError(f"{path}: not an OpenSim file: {error}. Expected an ExternalLoads .xml.") from None
    loads = document if document.tag == "ExternalLoads" else document.find(".//ExternalLoads")
    if loads is None:
        raise InputFileError(f"{path}: has no ExternalLoads. Expected the .xml that names the forces' data file.")
    data_file = _text(loads, "datafile")
    if data_file is None:
        raise InputFileError(f"{path}: names no <datafile>. Write the name of the forces' .mot into it.")
    # Windows separators work on every system.
    data_path = path.parent / data_file.replace("\\", "/")
    forces = tuple(_external_force(element, data_path, path) for element in loads.iter("ExternalForce"))
    if not forces:
        raise InputFileError(f"{path}: has no ExternalForce. Expected one for each foot.")
    return forces


def read_loaded_plates(path: str | Path) -> tuple[Plate, ...]:
    """Read the forces that an ExternalLoads file describes; the body that each is applied to says the foot.

    Args:
        path: of the .xml.

    Returns:
        One plate for each ExternalForce.

    Raises:
        InputFileError: the .xml or its data file is missing or faulty.
    """
    forces = read_external_loads(path)
    table = read_table(forces[0].data_path)  # an ExternalLoads has one data file
    return tuple(
        make_plate(
            table,
            name=force.name,
            side=side_of(force.body),
            force_labels=_labels(force.force_identifier),
            point_labels=_labels(force.point_identifier),
            torque_labels=None if force.torque_identifier is None else _labels(force.torque_identifier),
        )
        for force in forces
    )


def format_external_loads(data_file_name: str, *, bodies: tuple[str, str] = ("calcn_r", "calcn_l")) -> str:
    """Text of the ExternalLoads file for a file that `format_forces` wrote.

    Args:
        data_file_name: of the forces, relative to the .xml.
        bodies: that the forces of the right and the left foot act on.

    Returns:
        The text; `read_external_loads` is its inverse.
    """
    forces = "".join(
        _FORCE.format(
            name=f"{side_name}_foot",
            body=escape(body),
            **dict(zip(_IDENTIFIERS, identifiers(side), strict=True)),
        )
        for side, side_name, body in zip(SIDES, SIDE_NAMES, bodies, strict=True)
    )
    return _LOADS.format(forces=forces, data_file=escape(data_file_name))


def _text(element: ElementTree.Element, tag: str) -> str | None:
    """Text of a child; None where it is absent, empty or OpenSim's word for unset."""
    text = (element.findtext(tag) or "").strip()
    return None if text.lower() in ("", "unassigned") else text


def _labels(identifier: str) -> list[str]:
    return [identifier + axis for axis in "xyz"]


def _external_force(element: ElementTree.Element, data_path: Path, path: Path) -> ExternalForce:
    name = element.get("name", "unnamed")
    found = {}
    for tag in ("applied_to_body", "force_identifier", "point_identifier"):
        text = _text(element, tag)
        if text is None:
            raise InputFileError(f"{path}: the ExternalForce '{name}' has no <{tag}>. Fill it in.")
        found[tag] = text
    for tag in ("force_expressed_in_body", "point_expressed_in_body"):
        body = _text(element, tag) or "ground"
        if body.split("/")[-1] != "ground":
            raise InputFileError(
                f"{path}: the ExternalForce '{name}' has <{tag}> {body}. Only forces in ground can be "
                "read: express them in ground."
            )
    return ExternalForce(
        name=name,
        body=found["applied_to_body"].split("/")[-1],
        force_identifier=found["force_identifier"],
        point_identifier=found["point_identifier"],
        torque_identifier=_text(element, "torque_identifier"),
        data_path=data_path,
    )
