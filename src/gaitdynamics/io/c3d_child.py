"""Run as a program of its own: what a .c3d file holds, as ezc3d reads it, into an .npz file.

A damaged file can end the interpreter that reads it, so that must not be the user's. And ezc3d and opensim do not get
on in one interpreter: both wrap C++'s vectors, and whichever comes second is handed the other's.
"""

import json
import sys

GROUPS = ("POINT", "ANALOG", "FORCE_PLATFORM", "TRIAL")
REFUSED = 3


def convert(source: str, target: str) -> None:
    """Write points (3, M, T) and analog channels (K, N) in the file's units, and the parameters as JSON."""
    import ezc3d
    import numpy as np

    content = ezc3d.c3d(source)
    parameters = {
        group: {
            name: np.asarray(parameter["value"]).tolist()
            for name, parameter in content["parameters"][group].items()
            if not name.startswith("__")
        }
        for group in GROUPS
        if group in content["parameters"]
    }
    header = content["header"]
    about = {
        "parameters": parameters,
        "first_frame": int(header["points"]["first_frame"]),
        "last_frame": int(header["points"]["last_frame"]),
        "rate_hz": float(header["points"]["frame_rate"]),
        "analog_rate_hz": float(header["analogs"]["frame_rate"]),
    }
    points, analogs = content["data"]["points"][:3], content["data"]["analogs"][0]
    np.savez(target, points=points, analogs=analogs, about=np.array(json.dumps(about)))


if __name__ == "__main__":
    try:
        convert(sys.argv[1], sys.argv[2])
    except Exception as error:
        sys.stderr.write(" ".join(str(error).split())[:300])
        sys.exit(REFUSED)
