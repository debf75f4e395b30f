"""The task's own call: a prompt in, four new tokens out, and how `generate` resolved the call."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from .messages import capture_messages

SEED = 42
NEW_TOKENS = 4

# Methods of transformers, called one after the other just before the decoding loop.
_PROCESSORS, _CRITERIA = "_get_logits_processor", "_get_stopping_criteria"


@dataclass(frozen=True)
class Answer:
    """One call of `generate`: what it was given, how it resolved that, and what came back."""

    prompt_ids: tuple[int, ...]
    mask: tuple[int, ...] | None  # the attention mask that was passed, None if none was
    rows: tuple[tuple[int, ...], ...]  # all that came back, one row a returned sequence
    reply: str  # the new tokens of the first row, decoded with special tokens
    settings: dict[str, Any]  # the resolved generation config; what is None is left out
    processors: tuple[str, ...]  # class names of what changes the logits, in order
    criteria: tuple[str, ...]  # class names of what ends the loop
    messages: tuple[str, ...]  # see `capture_messages`
    logits: Any = field(repr=False, compare=False)  # of the first new token: float32 (vocabulary,)

    @property
    def new(self) -> tuple[int, ...]:
        """The ids of the first row behind as many as were given; the prompt is not searched for."""
        return self.rows[0][len(self.prompt_ids) :]


@dataclass
class _GenerateCall:
    settings: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by method
    mask: Any = None
    logits: Any = None


@contextmanager
def _record_generate(model: Any) -> Iterator[_GenerateCall]:
    """Record a call of `generate` without changing an argument of it.

    `generate` finishes its config in steps: kwargs over the model's over the library's defaults,
    then special tokens, then lengths. The two methods recorded come after all of these; each
    is handed the finished config and returns the very objects that the loop obeys. (Their
    arguments are the same in transformers 4.57, 5.17 and 5.23; elsewhere this raises.) The
    config that `_prepare_generation_config` returns has no lengths yet, a processor or criterion
    of our own never sees a config and would be an argument that the task does not pass, and
    `return_dict_in_generate` would change the settings that are to be seen. The class is
    patched, not the instance, so that nothing here holds the model.
    """
    call, kind = _GenerateCall(), model.__class__

    def recorder(name: str) -> Any:
        original = getattr(kind, name)

        def recording(self: Any, *args: Any, **given: Any) -> Any:
            result = original(self, *args, **given)
            if name == "generate":
                call.mask = given.get("attention_mask")
            else:
                call.settings = _resolved(given["generation_config"])
                call.classes[name] = tuple(type(part).__name__ for part in result)
            return result

        return patch.object(kind, name, recording)

    def keep_first(module: Any, args: Any, output: Any) -> None:
        if call.logits is None:
            call.logits = output.logits[0, -1].float().cpu()

    with ExitStack() as stack:
        for name in ("generate", _PROCESSORS, _CRITERIA):
            stack.enter_context(recorder(name))
        stack.callback(model.register_forward_hook(keep_first).remove)
        yield call


def _resolved(config: Any) -> dict[str, Any]:
    """A generation config's settings by name; what is None, private or a version is left out."""
    return {
        name: value
        for name, value in config.to_dict().items()
        if value is not None and not name.startswith("_") and name != "transformers_version"
    }


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """The ids' text, special tokens included.

    Clean-up is off: Llama-3.1's configuration sets it, which versions of transformers follow,
    ignore, or ignore with a warning.
    """
    text: str = tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
    return text


def predict(
    model: Any,
    tokenizer: Any,
    prompt: str,
    *,
    seed: int = SEED,
    front: Sequence[int] = (),
    **changes: Any,
) -> Answer:
    """Generate as the task does; `changes` are keyword arguments of `generate` that differ.

    `front` are ids put in front of the prompt's and hidden by zeros in the attention mask.
    Whatever `generate` raises passes through.
    """
    import torch
    from transformers import set_seed

    set_seed(seed)
    with capture_messages() as messages, _record_generate(model) as call:
        ids = (*front, *tokenizer.encode(prompt))
        inputs = torch.tensor([ids], device=model.device)
        mask = torch.ones_like(inputs)
        mask[:, : len(front)] = 0
        given = {"max_new_tokens": NEW_TOKENS, "num_return_sequences": 1} | changes
        mask = given.pop("attention_mask", mask)
        output = model.generate(inputs, attention_mask=mask, **given).tolist()
        reply = decoded(tokenizer, output[0][len(ids) :])
    return Answer(
        prompt_ids=ids,
        mask=None if call.mask is None else tuple(call.mask[0].tolist()),
        rows=tuple(map(tuple, output)),
        reply=reply,
        settings=call.settings,
        processors=call.classes[_PROCESSORS],
        criteria=call.classes[_CRITERIA],
        messages=tuple(messages),
        logits=call.logits,
    )
