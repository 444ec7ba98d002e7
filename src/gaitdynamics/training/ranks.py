"""The processes that train together: one, or those that torchrun has started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed

from gaitdynamics.errors import TrainingError


@dataclass(frozen=True)
class Ranks:
    """This process among those of a run.

    Args:
        rank: its number; 0 writes the files.
        size: how many there are.
        device: that it computes on.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def add_up(self, values: torch.Tensor) -> None:
        """Replace values by their sum over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)

    def handed_out(self, content: bytes | None) -> bytes | None:
        """What the first process holds; the others' argument is ignored."""
        if self.size == 1:
            return content
        length = torch.tensor([-1 if content is None else len(content)], device=self.device)
        distributed.broadcast(length, src=0)
        if length.item() < 0:
            return None
        if self.is_first and content is not None:
            values = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(self.device)
        else:
            values = torch.empty(int(length.item()), dtype=torch.uint8, device=self.device)
        distributed.broadcast(values, src=0)
        return values.cpu().numpy().tobytes()


@contextmanager
def joined(device: str | None) -> Iterator[Ranks]:
    """Join the processes that torchrun has started; without torchrun, be the only one.

    Args:
        device: such as 'cpu', 'cuda' or 'cuda:1'; None for a GPU where there is one. With torchrun, 'cuda' is each
            process's own GPU.

    Raises:
        TrainingError: no such device on this machine.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = _device(device)
    if size == 1:
        yield Ranks(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    store, rank, size = next(distributed.rendezvous("env://"))
    # torchrun keeps one store over restarts: without a name of its own, a group finds addresses of processes long gone.
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    group = store.add(f"groups of restart {restart}, process {rank}", 1)
    distributed.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo",
        store=distributed.PrefixStore(f"restart {restart}, group {group}", store),
        rank=rank,
        world_size=size,
    )
    try:
        yield Ranks(rank, size, chosen)
    finally:
        distributed.destroy_process_group()


@contextmanager
def seeded(device: torch.device, *numbers: int) -> Iterator[None]:
    """Let what can take no generator (initialisation of layers, dropout) draw from a seed; nothing of it stays behind.

    Args:
        device: whose generator is seeded beside the CPU's.
        numbers: that the draws depend on.
    """
    state = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(state)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(state)
        yield


def _device(name: str | None) -> torch.device:
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainingError(f"no device is called '{name}'. Use cpu, cuda, or cuda:1 for the second GPU.") from None
    if device.type not in ("cpu", "cuda"):
        raise TrainingError(f"training on '{name}' is not supported. Use cpu or cuda.")
    if device.type == "cuda":
        index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            raise TrainingError(
                f"device '{name}' was asked for; this machine has {torch.cuda.device_count()} usable GPUs. "
                "Use another one, or cpu, or start fewer processes."
            )
        device = torch.device("cuda", index)
    return device
