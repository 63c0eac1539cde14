"""A fleet: the adapters of a sweep on one frozen base, each applied to its own rows of one batch.

On a GPU every linear layer of the base runs once over all rows. Candidate i's low-rank path touches its rows only,
so its gradient is the one it would have alone (peft's own batches of mixed adapters are for inference). On a CPU
long batches bring nothing, and the candidates' batches run beside each other in threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer, ParamWrapper
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch.nn import Linear
from transformers.pytorch_utils import Conv1D

from primum.backends.base import Recipe, Run
from primum.backends.starts import require_fit, require_unchanged
from primum.backends.torch.base_model import Base
from primum.backends.torch.lower import lower_layers
from primum.backends.training import ADAPTER_WEIGHTS, TrainingInputs
from primum.errors import BadInput

_TARGETS = "model.recipe.target_modules: not linear layers of this base, or its lm_head; use all-linear"
_NOT_ALL = (
    "model.recipe.target_modules: this base has layers that LoRA cannot adapt (experts, routers, state spaces), so "
    "all-linear is not for it; name linear layers, for example [q_proj, k_proj, v_proj, o_proj]"
)


def name_of(inputs: TrainingInputs) -> str:
    """Name of a candidate's adapter and of its folder in a checkpoint, for example `r8s42`, `r8s42-from-5e1f03bc`."""
    begun = f"-from-{inputs.start[:8]}" if inputs.start else ""
    return f"r{inputs.rank}s{inputs.seed}{begun}"


class Fleet:
    """The base with one adapter per candidate. `model` is a peft model over a module tree of its own."""

    def __init__(self, base: Any, members: Sequence[TrainingInputs]) -> None:
        """Lay the adapters on `base`, a module tree that may be changed.

        Each starts as it would alone: its seed decides its weights. Raises BadInput for targets that the base
        does not have.
        """
        self.names = tuple(name_of(m) for m in members)
        self.model = _adapted(base, members)
        # On a CPU forward and backward of a batch are one thread's; elsewhere autograd has threads of its own.
        self._at: Any = _ThreadsOwn() if base.device.type == "cpu" else SimpleNamespace(**_NOTHING)
        self._layers = [m for m in self.model.modules() if isinstance(m, LoraLayer)]
        for layer in self._layers:
            self._route(layer)
        base.get_output_embeddings().register_forward_pre_hook(self._at_labels)
        self.lower = lower_layers(base, members[0].recipe, self._at)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(_owner(name) in self.names)

    def parameters(self, name: str) -> list[torch.nn.Parameter]:
        """The trained weights of one candidate."""
        return [p for key, p in self.model.named_parameters() if _owner(key) == name]

    def forward(
        self,
        model: Any,
        lanes: Sequence[tuple[str, int]],
        read: torch.Tensor,
        lower: torch.Tensor | None = None,
        **inputs: Any,
    ) -> torch.Tensor:
        """Logits (M, vocabulary) at the M flat positions `read` of the batch.

        `lanes` says how many tokens of the flat batch belong to each candidate, in order. Logits are made at the
        positions that carry loss only: for large vocabularies they would be the largest tensor. `lower` (R, L, d)
        stands for the layers below the adapters, see `Lower`.
        """
        self._at.lanes, self._at.read, self._at.lower = tuple(lanes), read, lower
        try:
            return model(use_cache=False, **inputs).logits.flatten(0, -2)
        finally:
            self._at.read = (
                None  # lanes stay: checkpointed activations are computed again in the backward pass
            )

    @contextmanager
    def alone(self, name: str) -> Iterator[Any]:
        """The model as peft would load it with that adapter only, for scoring."""
        self._at.lanes, self._at.lower = (), None
        for layer in self._layers:
            layer._active_adapter = [name]
        self.model.eval()
        try:
            yield self.model
        finally:
            self.model.train()

    def start_from(self, run: Run, member: TrainingInputs, base: Base) -> None:
        """Give a candidate the weights of its run's start. Raises BadInput where they are of another shape."""
        name = name_of(member)
        fresh = get_peft_model_state_dict(self.model, adapter_name=name, save_embedding_layers=False)
        wanted = {key: tuple(tensor.shape) for key, tensor in fresh.items()}
        require_fit(run, wanted, {key for key, _ in base.model.named_modules()}, base.id)
        self._read(name, Path(str(run.start)))
        require_unchanged(run, member)

    def save(self, folder: Path, state: dict[str, Any] | None = None) -> None:
        """Write every adapter as a peft folder of its own below `folder`."""
        for name in self.names:
            config: Any = self.model.peft_config[name]
            config.save_pretrained(str(folder / name))
            found = get_peft_model_state_dict(
                self.model, state_dict=state, adapter_name=name, save_embedding_layers=False
            )
            whole = {key: tensor.contiguous() for key, tensor in found.items()}
            save_file(whole, folder / name / ADAPTER_WEIGHTS, metadata={"format": "pt"})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        for name in self.names:
            self._read(name, folder / name)

    def _read(self, name: str, folder: Path) -> None:
        set_peft_model_state_dict(self.model, load_file(folder / ADAPTER_WEIGHTS), adapter_name=name)

    def _at_labels(
        self, module: torch.nn.Module, args: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor] | None:
        read = self._at.read
        return None if read is None else (args[0].flatten(0, 1)[read][None],)

    def _route(self, layer: Any) -> None:
        usual = layer.forward

        def forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            lanes = self._at.lanes
            if not lanes:
                return usual(x, *args, **kwargs)
            y = layer.base_layer(x, *args, **kwargs)
            if not isinstance(y, torch.Tensor):  # a router, which says where a token goes
                raise BadInput(_NOT_ALL)
            return (_by_variant if layer.lora_variant else _plain)(layer, x, y, lanes)

        layer.forward = forward


_NOTHING: dict[str, Any] = {"lanes": (), "read": None, "lower": None, "catching": False}
"""How a batch is read that is nobody's in particular: see `Fleet.forward` and `Lower`."""


class _ThreadsOwn(threading.local):
    def __init__(self) -> None:
        self.__dict__.update(_NOTHING)


def _plain(layer: Any, x: torch.Tensor, y: torch.Tensor, lanes: Sequence[tuple[str, int]]) -> torch.Tensor:
    """LoRA and rsLoRA, which differ in the scale only."""
    names, lengths = zip(*lanes, strict=True)
    pairs = [w for n in names for w in (layer.lora_A[n].weight, layer.lora_B[n].weight)]
    if y._is_view():  # of a quantised layer's own function, which autograd does not let us change
        y = y.clone()
    return _LowRank.apply(
        layer.lora_dropout[names[0]](x), y, [layer.scaling[n] for n in names], lengths, *pairs
    )


def _by_variant(
    layer: Any, x: torch.Tensor, y: torch.Tensor, lanes: Sequence[tuple[str, int]]
) -> torch.Tensor:
    """DoRA: peft's own forward on each candidate's rows."""
    lengths = [length for _, length in lanes]
    rows = zip(lanes, x.flatten(0, -2).split(lengths), y.flatten(0, -2).split(lengths), strict=True)
    parts = [
        layer.lora_variant[name].forward(layer, name, layer._cast_input_dtype(x_, _dtype(layer, name)), y_)
        for (name, _), x_, y_ in rows
    ]
    return torch.cat(parts).to(y.dtype).view(y.shape)


def _dtype(layer: Any, name: str) -> torch.dtype:
    dtype: torch.dtype = layer.lora_A[name].weight.dtype
    return dtype


class _LowRank(torch.autograd.Function):
    """y += scale * (x A^T) B^T on each candidate's rows, in place.

    Written by hand because autograd's way through peft's `y + B(A(x)) * scale` makes several tensors of the size of
    y more, forward and backward: on a CPU a step of the embedded base took 1.5 times as long with it. Bases in half
    precision compute it in theirs; the weights and their gradients stay in float32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        y: torch.Tensor,
        scales: list[float],
        lengths: tuple[int, ...],
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        lows = []
        rows = zip(x.flatten(0, -2).split(lengths), y.flatten(0, -2).split(lengths), strict=True)
        for i, (x_, y_) in enumerate(rows):
            a, b = (w.to(y.dtype) for w in weights[2 * i : 2 * i + 2])
            lows.append(x_.to(y.dtype) @ a.t())
            y_.addmm_(lows[-1], b.t(), alpha=scales[i])
        ctx.mark_dirty(y)
        ctx.save_for_backward(x, *lows, *weights)
        ctx.scales, ctx.lengths = scales, lengths
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[Any, ...]:
        count = len(ctx.lengths)
        x, *saved = ctx.saved_tensors  # read once: checkpointing computes them again for it
        lows, weights = saved[:count], saved[count:]
        dx = dy.new_empty(x.shape) if ctx.needs_input_grad[0] else None
        rows = zip(x.flatten(0, -2).split(ctx.lengths), dy.flatten(0, -2).split(ctx.lengths), strict=True)
        grads: list[torch.Tensor] = []
        start = 0
        for i, (x_, dy_) in enumerate(rows):
            a, b = weights[2 * i : 2 * i + 2]
            low = (dy_ @ b.to(dy.dtype)).mul_(ctx.scales[i])
            grads += [(low.t() @ x_.to(dy.dtype)).to(a.dtype)]
            grads += [(lows[i].t() @ dy_).t().to(b.dtype).mul(ctx.scales[i])]
            if dx is not None:
                torch.mm(low, a.to(dy.dtype), out=dx.view(-1, x.shape[-1])[start : start + len(x_)])
            start += len(x_)
        return None if dx is None else dx.to(x.dtype), dy, None, None, *grads


def _adapted(base: Any, members: Sequence[TrainingInputs]) -> PeftModel:
    recipe = members[0].recipe
    targets, numbers = _targets(base, recipe)
    refused = _NOT_ALL if recipe.target_modules == "all-linear" else _TARGETS
    model: Any = None
    try:
        for member in members:
            torch.manual_seed(member.seed)
            config = _lora(member, targets, numbers)
            if model is None:
                model = get_peft_model(base, config, adapter_name=name_of(member))
            else:
                model.add_adapter(name_of(member), config)
    except ValueError:  # peft's word for modules that are not there, or that it cannot adapt
        raise BadInput(refused) from None
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    linear = all(layer.lora_A and not isinstance(layer, ParamWrapper) for layer in layers)
    if isinstance(base.get_output_embeddings(), BaseTunerLayer) or not linear:
        raise BadInput(refused)
    return model


def _lora(member: TrainingInputs, targets: str | list[str], layers: list[int] | None) -> LoraConfig:
    recipe = member.recipe
    return LoraConfig(
        r=member.rank,
        lora_alpha=recipe.alpha_ratio * member.rank,  # type: ignore[arg-type]
        lora_dropout=recipe.dropout,
        use_rslora=recipe.variant == "rslora",
        use_dora=recipe.variant == "dora",
        target_modules=targets,
        layers_to_transform=layers,
        task_type="CAUSAL_LM",
    )


def _targets(base: Any, recipe: Recipe) -> tuple[str | list[str], list[int] | None]:
    """Target modules, and the indices of the layers that carry adapters (None: all)."""
    targets = recipe.target_modules
    if recipe.layers is None:
        return targets if isinstance(targets, str) else list(targets), None
    depth = base.config.get_text_config().num_hidden_layers
    if recipe.layers > depth:
        raise BadInput(f"model.recipe.layers: {recipe.layers} are more than the {depth} layers of this base")
    if targets == "all-linear":
        head = base.get_output_embeddings()
        linear = [n for n, m in base.named_modules() if isinstance(m, Linear | Conv1D) and m is not head]
        targets = tuple(sorted({n.rpartition(".")[2] for n in linear}))
    names = [targets] if isinstance(targets, str) else list(targets)
    return names, list(range(depth - recipe.layers, depth))


def _owner(parameter: str) -> str:
    """Adapter that a parameter's name ends in: `....q_proj.lora_A.r8s42.weight` is of r8s42."""
    parts = parameter.split(".")
    return parts[-2] if any(part.startswith("lora_") for part in parts) else ""
