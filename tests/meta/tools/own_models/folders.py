"""Tiny folders: templates as people's models have them, and vocabularies that train at once."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import LlamaConfig

from tests.meta.conftest import PROJECT

_ALTERNATE = (
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A template, its control tokens (the first ends a text), and a fault of the template."""

    template: str
    tokens: tuple[str, ...]
    fault: tuple[str, str]  # what is put in place of what
    red: str  # the contract that must be red then
    bos: str = ""
    jinja: bool = False  # whether the template stands in a file of its own


FAMILIES = {
    "gemma": Family(
        "{{ bos_token }}{% for m in messages %}"
        + _ALTERNATE
        + "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ("<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        ("'model' if", "'assistant' if"),
        "test_every_turn_matches_registry",
        bos="<bos>",
    ),
    "mistral": Family(
        "{{ bos_token }}{% for m in messages %}"
        + _ALTERNATE
        + "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}",
        ("</s>", "<s>", "[INST]", "[/INST]"),
        ("[INST] {{", "[INST]{{"),
        "test_every_turn_matches_registry",
        bos="<s>",
        jinja=True,
    ),
    "command_r": Family(
        "{% for m in messages %}<|START_OF_TURN_TOKEN|>"
        "{% if m.role == 'system' %}<|SYSTEM_TOKEN|>{% elif m.role == 'user' %}<|USER_TOKEN|>"
        "{% else %}<|CHATBOT_TOKEN|>{% endif %}{{ m.content }}<|END_OF_TURN_TOKEN|>{% endfor %}"
        "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}",
        (
            *("<|END_OF_TURN_TOKEN|>", "<|START_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>"),
            *("<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
        ),
        ("{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|>", "{% if add_generation_prompt %}"),
        "test_generation_prompt_adds_only_its_suffix",
    ),
    "deepseek": Family(
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
        "{% elif m.role == 'user' %}<User>{{ m.content }}{% else %}<Assistant>"
        "{{ m.content.split('</think>')[-1] }}<eos>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<Assistant><think>\n{% endif %}",
        ("<eos>", "<bos>", "<User>", "<Assistant>", "<think>", "</think>"),
        ("<Assistant><think>\n", "<Assistant>"),
        "test_generation_prompt_adds_only_its_suffix",
        bos="<bos>",
    ),
    "thinking": Family(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
        "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}"
        "<think>\n\n</think>\n\n{% endif %}{% endif %}",
        ("<|im_end|>", "<|im_start|>", "<think>", "</think>"),
        ("and not enable_thinking", "and enable_thinking"),
        "test_switch_changes_the_end_of_the_prompt",
        jinja=True,
    ),
    "of_the_day": Family(
        "Today is {{ strftime_now('%d %b %Y') }}.\n{% for m in messages %}<|{{ m.role }}|>"
        "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>"),
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        "test_prompt_follows_the_clock_only_as_declared",
    ),
    "headings": Family(
        "{% for m in messages %}### {{ m.role.title() }}:\n{{ m.content }}\n\n{% endfor %}"
        "{% if add_generation_prompt %}### Assistant:\n{% endif %}",
        ("</s>",),
        ("### {{", "## {{"),
        "test_every_turn_matches_registry",
    ),
    "computing": Family(
        "{% for m in messages %}({{ loop.index }}/{{ messages|length }}) {{ m.role }}: "
        "{{ m.content }}\n{% endfor %}",
        ("</s>",),
        ("{{ m.content }}", "{{ m.content[:2000] if loop.last else m.content[:5] }}"),
        "test_contents_appear_once_and_in_order",
    ),
    "system_last": Family(
        "{% set s = messages[0].content if messages[0].role == 'system' else none %}"
        "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}[INST]"
        "{% if loop.last and s is not none %}{{ s }}\n\n{% endif %}{{ m.content }}[/INST]"
        "{% else %}{{ m.content }}</s>{% endif %}{% endfor %}",
        ("</s>", "[INST]", "[/INST]"),
        ("{{ m.content }}</s>", "{{ m.content }}"),
        "test_every_turn_matches_registry",
    ),
    "bos_each_turn": Family(
        "{% for m in messages %}"
        + _ALTERNATE
        + "{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content }} [/INST]"
        "{% else %} {{ m.content }} </s>{% endif %}{% endfor %}",
        ("</s>", "<s>", "[INST]", "[/INST]"),
        ("{{ bos_token }}[INST]", "{{ bos_token + bos_token }}[INST]"),
        "test_prompt_has_one_bos",
        bos="<s>",
    ),
    "open_ended": Family(
        "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        ("<|user|>", "<|assistant|>", "<|system|>", "[gMASK]", "<sop>"),
        ("<|{{ m.role }}|>\n", "<|{{ m.role }}|>"),
        "test_every_turn_matches_registry",
    ),
    "no_system": Family(
        "{% for m in messages %}{% if m.role == 'system' %}"
        "{{ raise_exception('no system role') }}{% endif %}"
        "USER: {{ m.content }} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}",
        ("</s>",),
        ("USER: {{", "USER:{{"),
        "test_every_turn_matches_registry",
    ),
}


def make(folder: Path, family: Family, **config: Any) -> Path:
    """The family's folder, of a byte-level vocabulary of 400 tokens."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [(PROJECT / "README.md").read_text("utf-8")],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=[AddedToken(t, special=True, normalized=False) for t in family.tokens],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if bos := family.bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A",
            pair=f"{bos} $A {bos} $B",
            special_tokens=[(bos, tokenizer.token_to_id(bos))],
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": family.tokens[0],
    }
    settings |= {"model_max_length": 4096, "clean_up_tokenization_spaces": False}
    settings |= {"bos_token": family.bos} if family.bos else {}
    if family.jinja:
        (folder / "chat_template.jinja").write_text(family.template, "utf-8")
    else:
        settings["chat_template"] = family.template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    end = tokenizer.token_to_id(family.tokens[0])
    given = {"vocab_size": tokenizer.get_vocab_size(), "eos_token_id": end, "bos_token_id": None}
    LlamaConfig(**{**given, **config}).save_pretrained(folder)
    return folder


def spoil(folder: Path, fault: tuple[str, str]) -> None:
    """Put one text in place of another in the template."""
    path = folder / "chat_template.jinja"
    if path.exists():
        text = path.read_text("utf-8")
        assert fault[0] in text
        path.write_text(text.replace(*fault), "utf-8")
        return
    other_json(folder / "tokenizer_config.json", lambda settings: _replaced(settings, fault))


def _replaced(settings: dict[str, Any], fault: tuple[str, str]) -> None:
    assert fault[0] in settings["chat_template"]
    settings["chat_template"] = settings["chat_template"].replace(*fault)


def other_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file's content."""
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def make_unigram(folder: Path) -> Path:
    """A folder as T5's, which splits at white space and ends texts with a token."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"
    )
    return _of_words(folder, tokenizer, trainer, ("$A </s>", "$A </s> $B </s>"))


def make_wordpiece(folder: Path) -> Path:
    """A folder as BERT's, which writes in small letters without accents."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>", "<s>"], show_progress=False
    )
    return _of_words(folder, tokenizer, trainer, ("<s> $A </s>", "<s> $A </s> $B </s>"))


def _of_words(folder: Path, tokenizer: Any, trainer: Any, around: tuple[str, str]) -> Path:
    """The folder of a tokenizer that is trained here; `around` is what it puts around texts."""
    folder.mkdir(parents=True)
    tokenizer.train_from_iterator([(PROJECT / "README.md").read_text("utf-8")], trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>") if token in around[0]]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=around[0], pair=around[1], special_tokens=ids
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    settings |= {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    size = tokenizer.get_vocab_size()
    LlamaConfig(vocab_size=size, eos_token_id=1, bos_token_id=None).save_pretrained(folder)
    return folder
