"""A data folder of people who walk at two speeds by a known law."""

import json
from pathlib import Path

import numpy as np

from gaitdynamics.state.layout import GAIT, PHYSICS

SPEED_PAIRS = ((1.0, 1.5), (0.9, 1.4), (1.1, 1.7), (1.0, 1.6), (1.2, 1.8))
EXPONENT = -0.55  # of speed, for the stride's duration
CONTACT_SHARE = 0.62
NUM_FRAMES = 500


def write_speed_folder(folder: Path, *, is_one_speed: bool = False) -> None:
    """One recording of each person at each speed: the pelvis bobs, feet are on the ground, nothing else moves."""
    folder.mkdir(parents=True)
    recordings, gait, physics = [], [], []
    for number, speeds in enumerate(SPEED_PAIRS):
        for speed in speeds[:1] if is_one_speed else speeds:
            stride_frames = 100.0 * 1.1 * speed**EXPONENT
            phase = np.arange(NUM_FRAMES) / stride_frames - 0.3
            values = np.zeros((NUM_FRAMES, len(GAIT)), dtype=np.float32)
            values[:, GAIT["pelvis_velocity"][0]] = speed / 1.7
            bob = 0.5 + (0.02 + 0.02 * np.log(speed)) * np.cos(4 * np.pi * (phase - CONTACT_SHARE / 2))
            values[:, GAIT["pelvis_height"][0]] = bob
            features = np.zeros((NUM_FRAMES, len(PHYSICS)), dtype=np.float32)
            features[:, PHYSICS["observed"]] = 1.0
            for side, offset in (("right", 0.0), ("left", 0.5)):
                features[:, PHYSICS[f"down_{side}"][0]] = (phase - offset) % 1.0 < CONTACT_SHARE
            recordings.append(
                {
                    "name": f"person {number} at {speed}",
                    "dataset": "made up",
                    "subject": f"{number}",
                    "group": f"person {number}",
                    "split": "train",
                    "activity": "walk",
                    "speed_m_s": speed,
                    "variant": 0,
                    "shard": 0,
                    "start": len(gait) * NUM_FRAMES,
                    "num_frames": NUM_FRAMES,
                }
            )
            gait.append(values)
            physics.append(features)
    valid = np.zeros((len(gait) * NUM_FRAMES, 1), dtype=np.float32)
    for block, rows in (("gait", np.concatenate(gait)), ("physics", np.concatenate(physics)), ("valid", valid)):
        np.save(folder / f"{block}-000.npy", rows)
    index = {
        "format": 1,
        "blocks": {"gait": list(GAIT.names), "physics": list(PHYSICS.names), "valid": ["valid"]},
        "recordings": recordings,
        "excluded": [],
        "laboratories": {},
        "settings": {},
    }
    (folder / "index.json").write_text(json.dumps(index))
