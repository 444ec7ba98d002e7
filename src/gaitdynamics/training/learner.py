"""A network that learns: its weights, their moving average and the optimizer's moments."""

from copy import deepcopy
from pathlib import Path

import torch
from torch import nn

from gaitdynamics.errors import InputFileError, TrainingError
from gaitdynamics.training.ranks import Ranks, seeded
from gaitdynamics.training.recipe import Recipe, WindowLosses
from gaitdynamics.training.shards import Batch

# What the tensors of a checkpoint are called, before the name that PyTorch gives them.
MODEL, AVERAGED, OPTIMIZER = "model", "averaged", "optimizer"
# What draws are for, so that no two of them share their numbers.
INITIALISATION, TRAINING, VALIDATION = range(3)


class Learner:
    """Updates a network, and measures its average.

    Args:
        model: on the CPU, freshly made.
        recipe: loss and settings.
        ranks: this process among those that train together.
        seed: of dropout.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, *, ranks: Ranks, seed: int) -> None:
        self.averaged = deepcopy(model).to(ranks.device).requires_grad_(False).eval()
        self._model = model.to(ranks.device).train()
        self._recipe, self._ranks, self._seed = recipe, ranks, seed
        self._parameters = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        if not self._parameters:
            raise TrainingError(f"recipe {recipe.name}: its network has nothing to learn.")
        matrices = [p for p in self._parameters.values() if p.ndim > 1]
        vectors = [p for p in self._parameters.values() if p.ndim <= 1]
        self._optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        )

    def add_gradient(self, batch: Batch, *, step: int, number: int) -> WindowLosses:
        """Add a micro-batch's part to the gradient of the step's summed loss.

        Args:
            step: counted from 1.
            number: of the micro-batch within the step, over all processes: dropout depends on it.
        """
        with seeded(self._ranks.device, self._seed, TRAINING, step, number):
            losses = self._losses(self._model, self._recipe.augment(batch))
        losses.sums.sum().backward()
        return WindowLosses(losses.sums.detach(), losses.weights.detach())

    def measure(self, batch: Batch, *, number: int) -> WindowLosses:
        """Losses of the averaged network."""
        with torch.no_grad(), seeded(self._ranks.device, self._seed, VALIDATION, number):
            return self._losses(self.averaged, batch)

    def share_gradient(self, totals: torch.Tensor) -> None:
        """Replace gradient and totals by their sums over all processes, in one message."""
        for p in self._parameters.values():
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        if self._ranks.size == 1:
            return
        message = torch.cat([*(gradient.flatten() for gradient in gradients), totals])
        self._ranks.add_up(message)
        totals.copy_(message[-len(totals) :])
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, values in zip(gradients, message[: -len(totals)].split(sizes), strict=True):
            gradient.copy_(values.view_as(gradient))

    def update(self, *, step: int, total_weight: float) -> None:
        """Take the step that the gradient asks for, and forget the gradient.

        Args:
            total_weight: of the batch; turns the sum's gradient into the mean's.

        Raises:
            TrainingError: the gradient is not finite; the weights are as before.
        """
        for p in self._parameters.values():
            if p.grad is not None:
                p.grad /= total_weight
        length = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._recipe.clip_norm)
        if not torch.isfinite(length):
            raise TrainingError(
                f"{self._recipe.name} stopped at step {step}: the loss is finite, its gradient is not. Look for a "
                "square root or a logarithm of zero in the loss, or lower the learning rate."
            )
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate_at(step)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._average(step)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that a resumed run needs, on the CPU."""
        found = {f"{MODEL}.{name}": tensor for name, tensor in self._model.state_dict().items()}
        found |= {f"{AVERAGED}.{name}": tensor for name, tensor in self.averaged.state_dict().items()}
        for name, p in self._parameters.items():
            found |= {f"{OPTIMIZER}.{key}.{name}": tensor for key, tensor in self._optimizer.state[p].items()}
        return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in found.items()}

    def restore(self, tensors: dict[str, torch.Tensor], *, source: Path) -> None:
        """Go on from the tensors of a checkpoint.

        Raises:
            InputFileError: they are not this network's.
        """
        try:
            self._model.load_state_dict(_below(tensors, MODEL))
            self.averaged.load_state_dict(_below(tensors, AVERAGED))
        except RuntimeError as error:
            details = " ".join(str(error).split())
            raise InputFileError(
                f"{source}: does not fit the recipe's network ({details}). Choose another --out, or start again with "
                "--overwrite."
            ) from None
        moments = [key.split(".", 1) for key in _below(tensors, OPTIMIZER)]
        for key, name in moments:
            p = self._parameters[name]
            tensor = tensors[f"{OPTIMIZER}.{key}.{name}"].clone()
            self._optimizer.state[p][key] = tensor if key == "step" else tensor.to(p.device)

    def _losses(self, model: nn.Module, batch: Batch) -> WindowLosses:
        is_short = self._recipe.precision == "bfloat16" and self._ranks.device.type == "cuda"
        with torch.autocast(self._ranks.device.type, dtype=torch.bfloat16, enabled=is_short):
            losses = self._recipe.loss(model, batch)
        return WindowLosses(losses.sums.float(), losses.weights.float())

    def _average(self, step: int) -> None:
        decay = min(self._recipe.ema_decay, (1.0 + step) / (10.0 + step))  # the first steps' weights are soon forgotten
        for held, new in zip(self.averaged.parameters(), self._model.parameters(), strict=True):
            held.lerp_(new.detach(), 1.0 - decay)
        for kept, current in zip(self.averaged.buffers(), self._model.buffers(), strict=True):
            kept.copy_(current)


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
