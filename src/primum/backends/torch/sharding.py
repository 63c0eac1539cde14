"""The frozen base divided among the ranks: by torch's FSDP2 or DeepSpeed's ZeRO-3, layer by layer.

The adapters are small and stay whole on each rank, so that all of a training but this file is the same as with an
undivided base. A process divides its base for good: it trains once and ends.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from primum.backends.base import Recipe
from primum.backends.torch.base_model import Base
from primum.backends.torch.ranks import Ranks
from primum.errors import BadInput

_PERSISTENT = 10_000
"""Elements of a weight up to which ZeRO-3 keeps it on every rank: a norm is not worth a message."""


def check_sharding(base: Base, recipe: Recipe, ranks: Ranks) -> None:
    """Raises BadInput for what a divided base cannot do."""
    if not ranks.sharded:
        return
    if getattr(base.model, "is_loaded_in_4bit", False):
        raise BadInput(f"stack.sharding: {ranks.sharding} cannot divide a base in nf4; set it to ddp")
    if ranks.sharding == "zero3" and recipe.variant == "dora":
        raise BadInput("stack.sharding: zero3 cannot train model.recipe.variant dora; set it to fsdp or ddp")
    if ranks.sharding == "zero3" and base.model.dtype == torch.float16:
        raise BadInput(
            "stack.sharding: zero3 cannot train in float16; set it to fsdp or ddp, or use bfloat16"
        )


def tree_for(base: Base, ranks: Ranks) -> Any:
    """The module tree that adapters are laid on: a copy over the same weights, or the divided base itself."""
    if not ranks.sharded:
        return base.shared_copy()
    if ranks.sharding == "zero3":
        _zero3(base.model)
    return base.model


def divide_under(model: Any, ranks: Ranks) -> None:
    """Divide the base of a peft model where `tree_for` did not: FSDP works from the outermost module on."""
    if not ranks.sharded or ranks.sharding != "fsdp":
        return
    mesh = init_device_mesh(model.device.type, (ranks.world,))
    adapters = {p for p in model.parameters() if p.requires_grad}
    layers = model.get_base_model()._no_split_modules or ()
    for module in list(model.modules()):
        if type(module).__name__ in layers:
            fully_shard(module, mesh=mesh, ignored_params=adapters)
    fully_shard(model, mesh=mesh, ignored_params=adapters)


@torch.no_grad()
def first_pass(model: Any, ranks: Ranks) -> None:
    """Let FSDP make its buffers. Made while scoring they would be inference tensors, which no training can write."""
    if ranks.sharded and ranks.sharding == "fsdp":
        model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=model.device), use_cache=False)


def _zero3(model: Any) -> None:
    """Without an optimizer DeepSpeed's engine is what fetches and lets go of weights; gradients are not its."""
    import deepspeed

    # A faster all-reduce for CPUs that it would compile now, for a minute, and that fails without a compiler.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    engine, *_ = deepspeed.initialize(
        model=model,
        dist_init_required=False,
        config={
            "train_micro_batch_size_per_gpu": 1,  # asked for, and not used
            "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": _PERSISTENT},
            "bf16": {"enabled": model.dtype == torch.bfloat16},
        },
    )
    # Each pass begins anew in its record of what comes next. It would see that at the outermost module, which peft
    # goes past; and the engine must live as long as the model.
    model.base_model.register_forward_pre_hook(
        lambda *_: engine.optimizer.get_param_coordinator().reset_step(), prepend=True
    )
