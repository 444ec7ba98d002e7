"""From recordings to a data folder that training reads: examined, aligned, encoded, in memory-mapped shards."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaitdynamics import __version__
from gaitdynamics.errors import GaitDynamicsError, InputFileError, OutputError
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.study import Interval
from gaitdynamics.training.assembly import FORMAT, INDEX_NAME, VALID, Part, assemble
from gaitdynamics.training.evidence import RUN, WALK, Level, examine, level_of
from gaitdynamics.training.info import report_of, report_text
from gaitdynamics.training.laboratory import AS_MEASURED, Alignment, Measured, laboratories
from gaitdynamics.training.quality import Excluded, judge
from gaitdynamics.training.sources import TRAIN, Candidate, read_sources
from gaitdynamics.types.trial import Trial

SAMPLING_RATE_HZ = 100.0
PARTS = ".parts"
FAILED = "failed"
COPY = "variant"
DASK_TIMEOUT_S = 30

Encode = Callable[..., dict[str, np.ndarray]]
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Encoding:
    """How a trial becomes rows.

    Args:
        blocks: names of the channels of each block; `valid`, 1 where the force is known, is one of them.
        encode: function of a module (workers import it) that takes a trial, its valid intervals in seconds, and by
            name `variant` and `seed`, and returns the rows of each block, (T, D) at 100 Hz.
        num_variants: of each training recording; 0 is the motion as measured. Others have that one only.
    """

    blocks: Mapping[str, tuple[str, ...]]
    encode: Encode
    num_variants: int


def build(
    sources: Sequence[Path],
    out: Path,
    *,
    encoding: Encoding,
    workers: int,
    dask_address: str | None = None,
    as_measured: bool = False,
    overwrite: bool = False,
    report: Report = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Write a data folder; the same recordings give the same bytes, however many workers there are.

    An interrupted build goes on where it stopped when it is started again. Nothing of an existing data folder is
    replaced before all of the new one is there.

    Args:
        sources: study folders, .b3d files, folders of those.
        out: the data folder.
        encoding: how a trial becomes rows.
        workers: processes on this machine.
        dask_address: of a Dask scheduler, whose workers are used instead; they see the same files by the same names.
        as_measured: leave lags and scales of laboratories as they are.
        overwrite: replace a data folder.
        report: told the stage, and how many recordings are done, of how many.

    Returns:
        The index, as written.

    Raises:
        GaitDynamicsError: a source is not what it should be, no recording is left, or `out` can't be written.
    """
    _check_folder(out, overwrite=overwrite)
    candidates, in_two_splits = read_sources([source.absolute() for source in sources])
    parts = out.absolute() / PARTS
    with _pool(workers, dask_address) as pool:
        parts.mkdir(parents=True, exist_ok=True)
        examinations = [(candidate, parts, _code_version()) for candidate in candidates]
        surveys = _all(pool, _survey, examinations, report=lambda done, total: report("Examining", done, total))
        labs = laboratories([_measured(survey) for survey in surveys if survey["reason"] is None])
        jobs = []
        for candidate, survey in zip(candidates, surveys, strict=True):
            if survey["reason"] is None:
                due = AS_MEASURED if as_measured else labs[candidate.dataset].alignment_of(candidate.subject)
                jobs.append((candidate, survey, due, encoding, parts))
        encoded = _all(pool, _encode, jobs, report=lambda done, total: report("Encoding", done, total))
    excluded = [*in_two_splits, *(Excluded(survey["name"], survey["reason"]) for survey in surveys if survey["reason"])]
    rows: list[tuple[dict[str, Any], Part]] = []
    failed_copies: list[Excluded] = []
    for (candidate, survey, due, _, _), (made, failed) in zip(jobs, encoded, strict=True):
        if made:
            failed_copies += failed
        else:
            excluded += failed
        rows += [(_entry(candidate, survey, due, part), part) for part in made]
    excluded.sort(key=lambda one: one.name)
    if not rows:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in excluded[:3])
        raise InputFileError(f"none of {len(excluded)} recordings can be learned from. {reasons}")
    places = assemble([part for _, part in rows], encoding.blocks, parts)
    index = {
        "format": FORMAT,
        "blocks": {block: list(channels) for block, channels in encoding.blocks.items()},
        "recordings": [entry | place for (entry, _), place in zip(rows, places, strict=True)],
        "excluded": [{"name": one.name, "reason": one.reason} for one in excluded],
        "excluded_variants": [{"name": one.name, "reason": one.reason} for one in failed_copies],
        "removed": [
            {"name": survey["name"], "reason": reason, "seconds": seconds}
            for survey in surveys
            for reason, seconds in survey["removed_s"].items()
        ],
        "laboratories": {name: lab.to_json() for name, lab in labs.items()},
        "settings": {
            "as_measured": as_measured,
            "num_variants": encoding.num_variants,
            "sampling_rate_hz": SAMPLING_RATE_HZ,
            "version": __version__,
        },
    }
    _finish(out, parts, index)
    return index


def _check_folder(out: Path, *, overwrite: bool) -> None:
    check_writable([out / INDEX_NAME], overwrite=overwrite)
    if out.is_dir() and any(out.iterdir()) and not (out / PARTS).is_dir() and not (out / INDEX_NAME).is_file():
        raise OutputError(f"{out}: holds other things than a data folder. Choose a new or an empty folder.")


def _finish(out: Path, parts: Path, index: dict[str, Any]) -> None:
    """Put the assembled shards in place; a folder without an index is an unfinished one."""
    (out / INDEX_NAME).unlink(missing_ok=True)
    for old in out.glob("*-[0-9][0-9][0-9].npy"):
        old.unlink()
    for shard in sorted(parts.glob("*.npy")):
        shard.replace(out / shard.name)
    summary = report_of(index)
    write_files(
        {
            out / "report.json": json.dumps(summary, indent=1, allow_nan=False) + "\n",
            out / "report.md": report_text(summary),
        },
        overwrite=True,
    )
    write_files({out / INDEX_NAME: json.dumps(index, indent=1, allow_nan=False) + "\n"}, overwrite=True)
    shutil.rmtree(parts)


def _survey(candidate: Candidate, parts: Path, code: str) -> dict[str, Any]:
    """Examine a recording, or read what was found before."""
    key = _hash(candidate.fingerprint(), code)
    path = parts / f"{key}.json"
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    survey: dict[str, Any] = {"name": candidate.name, "key": key, "reason": None, "removed_s": {}}
    try:
        with _one_thread():
            trial = candidate.load()
            evidence = examine(trial, candidate.valid_s, suspect_s=candidate.suspect_s)
            verdict = judge(evidence)
            level = level_of(evidence)
        survey |= {
            "dataset": candidate.dataset,
            "subject": candidate.subject,
            "split": candidate.split,
            "activity": candidate.activity or (RUN if evidence.is_running else WALK),
            "height_m": round(trial.subject.height_m, 4),
            "speed_m_s": round(evidence.speed_m_s, 3),
            "total_lag_s": evidence.total_lag_s,
            "contact_lag_s": evidence.contact_lag_s,
            "level": None if level is None else [level.body_weights, level.num_strides],
            "valid_s": verdict.valid_s,
            "removed_s": verdict.removed_s if verdict.reason is None else {},
            "reason": verdict.reason,
            "notes": list(verdict.notes),
        }
    except GaitDynamicsError as error:
        survey["reason"] = _reason(error, candidate)
    write_files({path: json.dumps(survey)}, overwrite=True)
    return survey


def _measured(survey: dict[str, Any]) -> Measured:
    return Measured(
        dataset=survey["dataset"],
        subject=survey["subject"],
        activity=survey["activity"],
        is_training=survey["split"] == TRAIN,
        total_lag_s=survey["total_lag_s"],
        contact_lag_s=survey["contact_lag_s"],
        level=None if survey["level"] is None else Level(*survey["level"]),
    )


def _encode(
    candidate: Candidate, survey: dict[str, Any], alignment: Alignment, encoding: Encoding, parts: Path
) -> tuple[list[Part], list[Excluded]]:
    """The rows of a recording and its variants, in a file of their own, or what was written before.

    A variant that can't be encoded is left out alone; without the motion as measured there are no variants.
    """
    encode = encoding.encode
    num_variants = encoding.num_variants if candidate.split == TRAIN else 1
    blocks = {block: list(channels) for block, channels in encoding.blocks.items()}
    how = [blocks, num_variants, encode.__module__, encode.__qualname__, alignment.lag_s, alignment.force_scale]
    path = parts / f"{_hash(survey['key'], json.dumps(how))}.npz"
    if not path.is_file():
        rows: dict[str, np.ndarray] = {}
        failed: dict[str, str] = {}
        with _one_thread():
            try:
                trial, valid_s = _aligned(candidate.load(), survey["valid_s"], alignment)
            except GaitDynamicsError as error:
                return [], [Excluded(candidate.name, _reason(error, candidate))]
            for variant in range(num_variants):
                seed = int(_hash(candidate.name, str(variant))[:8], 16)
                try:
                    encoded = encode(trial, valid_s, variant=variant, seed=seed)
                    _check_rows(encoded, encoding.blocks, name=candidate.name)
                except GaitDynamicsError as error:
                    failed[str(variant)] = _reason(error, candidate)
                    continue
                rows |= {f"{variant}/{block}": encoded[block] for block in encoding.blocks}
        rows[FAILED] = np.frombuffer(json.dumps(failed).encode(), dtype=np.uint8)
        temporary = path.with_name(f"{path.stem}-{os.getpid()}.part")
        with temporary.open("wb") as file:
            np.savez(file, **rows)  # type: ignore[arg-type]
        temporary.replace(path)
    with np.load(path) as stored:
        reasons = json.loads(stored[FAILED].tobytes())
        flags = {v: stored[f"{v}/{VALID}"] for v in range(num_variants) if str(v) not in reasons}
    if "0" in reasons:
        return [], [Excluded(candidate.name, reasons["0"])]
    return [
        Part(path, variant, num_frames=len(valid), valid_s=round(float(valid.sum()) / SAMPLING_RATE_HZ, 3))
        for variant, valid in flags.items()
    ], [Excluded(f"{candidate.name}, {COPY} {variant}", reason) for variant, reason in reasons.items()]


def _reason(error: GaitDynamicsError, candidate: Candidate) -> str:
    return str(error).removeprefix(f"{candidate.name}: ")


def _aligned(
    trial: Trial, valid_s: Sequence[Sequence[float]], alignment: Alignment
) -> tuple[Trial, tuple[Interval, ...]]:
    """The trial with its forces by the motion's clock and in body weights of the stated mass; valid times likewise."""
    if trial.forces is None:
        return trial, ()
    forces = replace(
        trial.forces,
        time_s=trial.forces.time_s - alignment.lag_s,
        force_n=trial.forces.force_n * alignment.force_scale,
        free_moment_nm=trial.forces.free_moment_nm * alignment.force_scale,
    )
    return replace(trial, forces=forces), tuple((a - alignment.lag_s, b - alignment.lag_s) for a, b in valid_s)


def _check_rows(rows: dict[str, np.ndarray], blocks: Mapping[str, tuple[str, ...]], *, name: str) -> None:
    for block, channels in blocks.items():
        values = rows[block]
        if values.shape != (len(rows[VALID]), len(channels)) or len(values) == 0 or values.dtype != np.float32:
            raise InputFileError(f"{name}: encoded as {values.dtype} {values.shape} for the block '{block}'.")
        if not np.isfinite(values).all():
            channel = channels[int(np.argmax(~np.isfinite(values).all(axis=0)))]
            raise InputFileError(f"{name}: '{channel}' of the block '{block}' is not finite. Look at its motion.")


def _entry(candidate: Candidate, survey: dict[str, Any], alignment: Alignment, part: Part) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "dataset": candidate.dataset,
        "subject": candidate.subject,
        "group": candidate.group,
        "split": candidate.split,
        "activity": survey["activity"],
        "surface": candidate.surface,
        "sex": candidate.sex,
        "age_years": candidate.age_years,
        "mass_kg": candidate.mass_kg,
        "height_m": survey["height_m"],
        "speed_m_s": survey["speed_m_s"],
        "variant": part.variant,
        "valid_s": part.valid_s,
        "lag_s": alignment.lag_s,
        "force_scale": alignment.force_scale,
        "notes": survey["notes"],
    }


@contextmanager
def _pool(workers: int, dask_address: str | None) -> Iterator[Executor | None]:
    """What runs the jobs; None for this process itself."""
    if dask_address is not None:
        try:
            from distributed import Client
        except ImportError:
            raise InputFileError(
                "--dask needs the package 'distributed'. Install it with: pip install 'gaitdynamics[cluster]'"
            ) from None
        try:
            client = Client(dask_address, timeout=DASK_TIMEOUT_S)
        except (OSError, ValueError) as error:
            raise InputFileError(
                f"no Dask scheduler answers at '{dask_address}': {error}. Expected an address like tcp://host:8786."
            ) from None
        with client:
            yield client.get_executor()
    elif workers > 1:
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    else:
        yield None


def _all(
    pool: Executor | None,
    job: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    *,
    report: Callable[[int, int], None],
) -> list[Any]:
    """What a job returns for each of the arguments, in their order."""
    results: list[Any] = [None] * len(arguments)
    report(0, len(arguments))
    if pool is None:
        for number, own in enumerate(arguments):
            results[number] = job(*own)
            report(number + 1, len(arguments))
        return results
    numbers: dict[Future[Any], int] = {pool.submit(job, *own): number for number, own in enumerate(arguments)}
    try:
        for done, future in enumerate(as_completed(numbers), start=1):
            results[numbers[future]] = future.result()
            report(done, len(arguments))
    except BrokenProcessPool:
        raise OutputError(
            "a worker process was ended from outside, probably because memory ran out. Start the command again with "
            "fewer --workers: it goes on where it stopped."
        ) from None
    finally:
        for future in numbers:
            future.cancel()
    return results


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of torch's: processes share the cores, and sums come out alike however many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _code_version() -> str:
    """A hash of everything that a part depends on but its recording."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(f"{__version__} {np.__version__} {torch.__version__}".encode())
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] != "apps":
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]
