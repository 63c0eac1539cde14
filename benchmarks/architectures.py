"""The shapes of public bases as plain numbers: parameters, adapter sizes, floating-point operations. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """A decoder of the Llama family."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool = False
    """The vocabulary projection is the embedding."""
    head: int = 128
    """Width of an attention head."""
    context: int = 4096

    def linears(self) -> Mapping[str, tuple[int, int]]:
        """(in, out) of a layer's linear modules."""
        q, kv = self.heads * self.head, self.kv_heads * self.head
        return {
            "q_proj": (self.hidden, q),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (q, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    def layer_parameters(self) -> int:
        """Weights of all layers' matrix products."""
        return self.layers * sum(i * o for i, o in self.linears().values())

    def parameters(self) -> int:
        """All weights, norms and embeddings included."""
        vocabulary = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return vocabulary + self.layer_parameters() + (2 * self.layers + 1) * self.hidden

    def adapter_parameters(self, rank: int) -> int:
        """LoRA on every linear module but the vocabulary projection: rank x (in + out) each."""
        return self.layers * rank * sum(i + o for i, o in self.linears().values())

    def adapter_bytes(self, rank: int, width: int) -> int:
        """Bytes of the adapter's tensors at `width` bytes a number."""
        return width * self.adapter_parameters(rank)

    def training_flops(self, tokens: int, logits: int) -> int:
        """Least operations of a step on a frozen base: 4 N T.

        Two for the forward pass and two for the activations' gradients per weight and token (the weights'
        gradients fall away), the vocabulary projection at the `logits` positions that carry loss only; attention's
        own products (2 % of a 3B layer at 512 tokens) and the adapter are left out.
        """
        return 4 * (self.layer_parameters() * tokens + self.vocabulary * self.hidden * logits)

    def config(self) -> dict[str, Any]:
        """Keywords of transformers' LlamaConfig."""
        return {
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.tied,
            "max_position_embeddings": self.context,
        }


LLAMA_3B = Shape("Llama-3.2-3B", 3072, 8192, 28, 24, 8, 128256, tied=True)
TINYLLAMA = Shape("TinyLlama-1.1B", 2048, 5632, 22, 32, 4, 32000, head=64)
MISTRAL_7B = Shape("Mistral-7B", 4096, 14336, 32, 32, 8, 32000)
LLAMA_8B = Shape("Llama-3.1-8B", 4096, 14336, 32, 32, 8, 128256)

PEAK_TFLOPS = {
    "H200": 989,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10": 125,
    "4090": 165,
    "3090": 71,
}
"""Dense bfloat16 of the makers' data sheets, by a part of the device's name."""


def peak_flops(device: str) -> float | None:
    """Operations a second of a device in bfloat16; None where the name is not known."""
    found = [tera for part, tera in PEAK_TFLOPS.items() if part in device]
    return found[0] * 1e12 if found else None


def utilisation(flops: float, seconds: float, device: str) -> float | None:
    """Share of the peak (MFU): `flops` is what had to be computed, not what was."""
    peak = peak_flops(device)
    return None if peak is None else flops / seconds / peak
