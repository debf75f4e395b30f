"""The least time a forward can take: its arithmetic and its bytes, at the machine's own rates."""

from ..data.registry import Model
from ..memory.architecture import head_size, layer_linears
from ..memory.footprint import Load, footprint, quant_state_bytes


def forward_flops(facts: Model, prompts: int, tokens: int) -> int:
    """Floating-point operations of a forward of so many prompts of so many tokens each.

    Two for each weight and token; the head for each prompt's last token only; causal attention
    (scores and sums) over half of the square. Norms, rotations and activations are left out.
    """
    config = facts.architecture
    layers, hidden = int(config["num_hidden_layers"]), int(config["hidden_size"])
    weights = layers * sum(linear.weights for linear in layer_linears(config))
    width = head_size(config) * int(config["num_attention_heads"])
    pairs = tokens * (tokens + 1) // 2
    head = 2 * int(config["vocab_size"]) * hidden
    return prompts * (2 * weights * tokens + 4 * layers * width * pairs + head)


def weight_bytes_read(facts: Model, load: Load) -> int:
    """Bytes that every forward must read: all weights once, of the embedding only if it is tied."""
    sizes = footprint(facts, load)
    head = sizes.embedding if facts.architecture["tie_word_embeddings"] else 0
    states = quant_state_bytes(facts) if load == "nf4" else 0
    return sizes.parameters - sizes.embedding + head + states


def least_seconds(
    facts: Model, load: Load, prompts: int, tokens: int, new: int, rates: tuple[float, float]
) -> float:
    """Seconds that no implementation can beat: a forward of the prompts, then one a new token.

    `rates` are FLOP/s and bytes/s. The earlier keys and values are not counted.
    """
    flops_rate, bytes_rate = rates
    reading = weight_bytes_read(facts, load) / bytes_rate
    first = max(forward_flops(facts, prompts, tokens) / flops_rate, reading)
    later = max(forward_flops(facts, prompts, 1) / flops_rate, reading)
    return first + (new - 1) * later
