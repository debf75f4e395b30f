"""How far a part may be from the reference: rounding on the way, measured noise, a margin.

Relative errors, ||got - expected|| / ||expected||. Rounding a value to bf16 moves it by 2**-9 of
itself at most, by 0.0017 on the root mean square; n roundings in a row by sqrt(n) times that.
Noise is the largest of all layers and runs: SmolLM2 on CPUs with AMX, Llama-3.1-8B on an H100.
"""

from ..memory.footprint import Load
from .comparison import Kind

# What each part rounds, noise, and the smallest fault that was planted in it:
_BF16: dict[Kind, float] = {
    "embedding": 0,  # a row is copied
    "rotary": 0.004,  # once; noise 0.0013; Llama-3's scaling ignored, 180 tokens: 0.062
    "norm": 0.008,  # twice; noise 0.0034; 2 % too large: 0.020
    "attention": 0.04,  # projections, turns, weights of the sum; 0.0155; scale + 10 %: 0.099
    "mlp": 0.016,  # three products, one activation; noise 0.0064; GELU for SiLU: 0.37
    "head": 0.005,  # once; noise 0.0017; scaled by 1.02: 0.020
}
# LLM.int8() rounds activations to 127ths: what lies between two of them may fall on either side.
_INT8: dict[Kind, float] = _BF16 | {"attention": 0.05, "mlp": 0.04}  # noise 0.021 and 0.017
# Narrow models in float32: nothing but the order of additions differs; noise 2e-6. The model's
# angles are rounded, too, the more the larger they are: noise 1e-5 at 2,048 tokens.
FLOAT32: dict[Kind, float] = dict.fromkeys(_BF16, 2e-5) | {"embedding": 0, "rotary": 1e-4}

BOUNDS: dict[Load, dict[Kind, float]] = {"nf4": _BF16, "bf16": _BF16, "int8": _INT8}

# Of a whole forward pass, where the errors of all layers add up, and the more the more attention
# prefers single tokens. The first is the relative error of all logits, the second the mean
# divergence of next tokens from the reference's, in nats. Noise of SmolLM2, of a narrow one with
# random weights; a layer skipped: 0.3 and more.
LOGITS: dict[Load, tuple[float, float]] = {
    "bf16": (0.1, 0.03),  # 0.013 and 0.0012; 0.041 and 0.009
    "nf4": (0.1, 0.03),  # 0.015 and 0.0016; 0.048 and 0.014
    "int8": (0.4, 0.1),  # 0.055 and 0.019; Llama-3.1 with random weights 0.20 and 0.034
}
FLOAT32_LOGITS = (2e-4, 1e-6)  # 2e-5, of 180 tokens 4e-6; and 2e-7

# At the end of the context the model multiplies positions in float32: an angle of p radians is
# off by up to 2**-23 x p, 0.016 at 131,071, for the fastest frequencies, which are few.
LAST_POSITIONS = 0.006
