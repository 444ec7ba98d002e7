"""A program that writes what `lab_files` made up as a .c3d: arguments are the file to write and its content (.npz)."""

import sys
from pathlib import Path

import numpy as np

PLATFORM = ("USED", "TYPE", "ZERO", "CORNERS", "ORIGIN", "CHANNEL", "CAL_MATRIX")


def write(path: Path, given: Path) -> None:
    import ezc3d

    with np.load(given, allow_pickle=False) as loaded:
        content = {key: loaded[key] for key in loaded.files}
    file = ezc3d.c3d()
    parameters = file["parameters"]
    parameters["POINT"]["RATE"]["value"] = [100.0]
    parameters["POINT"]["UNITS"]["value"] = ["mm"]
    parameters["POINT"]["LABELS"]["value"] = content["labels"].tolist()
    if "screen_up" in content:
        parameters["POINT"]["Y_SCREEN"] = texts([str(content["screen_up"])])
    if content["computed"].size:
        parameters["POINT"]["ANGLES"] = texts(content["computed"].tolist())
    file["data"]["points"] = content["points"]
    if "analogs" in content:
        parameters["ANALOG"]["RATE"]["value"] = [float(content["analog_rate_hz"])]
        parameters["ANALOG"]["LABELS"]["value"] = [f"channel{k}" for k in range(len(content["analogs"]))]
        parameters["ANALOG"]["UNITS"]["value"] = content["units"].tolist()
        file["data"]["analogs"] = content["analogs"][None]
        for name in PLATFORM:
            file.add_parameter("FORCE_PLATFORM", name, content[name].astype(float))
    file.write(str(path))


def texts(values: list[str]) -> dict[str, object]:
    """A parameter of texts; the library's own function makes them of numbers only."""
    return {"type": -1, "description": "", "is_locked": 0, "value": values}


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
