"""A small data folder with people whose forces follow from their joint angles, for tests of training."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics.state.layout import GAIT

FORCES = np.array([i for i, name in enumerate(GAIT.names) if name.startswith(("force", "pressure", "free_moment"))])
KINEMATICS = np.setdiff1d(np.arange(len(GAIT)), FORCES)
PEOPLE, RECORDINGS_EACH, SHARDS = 10, 2, 2


def write_data_folder(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write the folder; returns its index. Recordings are 60 to 500 frames long, forces known in most of each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(len(KINEMATICS), len(FORCES))) / np.sqrt(len(KINEMATICS))
    delays = rng.uniform(0.0, 6.0, size=len(KINEMATICS))
    rows: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {shard: [] for shard in range(SHARDS)}
    recordings = []
    for number in range(PEOPLE * RECORDINGS_EACH):
        person, shard = number // RECORDINGS_EACH, number % SHARDS
        num = int(rng.integers(60, 500))
        values = np.zeros((num, len(GAIT)), dtype=np.float32)
        phase = np.arange(num)[:, None] / 100.0 * 2.0 * np.pi + rng.uniform(0.0, 6.0) + delays
        values[:, KINEMATICS] = np.sin(phase) * rng.uniform(0.6, 1.0)
        values[:, FORCES] = np.tanh(values[:, KINEMATICS] @ mixing)
        valid = np.ones((num, 1), dtype=np.float32)
        valid[: num // 4] = 0.0
        start = sum(len(block) for block, _ in rows[shard])
        rows[shard].append((values, valid))
        recordings.append(
            {
                "name": f"recording {number}",
                "dataset": f"laboratory {person % 2}",
                "subject": f"{person}",
                "group": f"person {person}",
                "split": "validation" if person == PEOPLE - 1 else "train",
                "activity": "walk",
                "surface": "treadmill",
                "sex": None,
                "age_years": None,
                "mass_kg": 70.0,
                "height_m": 1.7,
                "speed_m_s": 1.2,
                "variant": 0,
                "shard": shard,
                "start": start,
                "num_frames": num,
                "lag_s": 0.0,
            }
        )
    for shard, blocks in rows.items():
        np.save(folder / f"gait-{shard:03d}.npy", np.concatenate([values for values, _ in blocks]))
        np.save(folder / f"valid-{shard:03d}.npy", np.concatenate([valid for _, valid in blocks]))
    index = {
        "format": 1,
        "blocks": {"gait": list(GAIT.names), "valid": ["valid"]},
        "recordings": recordings,
        "excluded": [],
        "laboratories": {},
        "settings": {},
    }
    write_index(folder, index)
    return index


def write_index(folder: Path, index: Any) -> None:
    """Replace the index."""
    (folder / "index.json").write_text(json.dumps(index))
