"""What a draft finds of functions: which templates write them, and how; and later faults."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.data.cases import offers
from tests.harness.data.registry import Capability, registry
from tests.harness.tokenizer.frames import misplaced, with_functions
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.meta.conftest import run_anew, run_pytest
from tests.meta.support.small_project import shrink
from tests.tools.new_model.functions import function_facts, untested

from .folders import Family, make, spoil

_TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
_EACH = "{% if tools %}<tools>{% for t in tools %}EACH{% endfor %}</tools>{% endif %}" + _TURNS
_TYPED = (
    "// {{ t.function.description }}\ntype {{ t.function.name }} = ("
    "{% for name, p in t.function.parameters.properties.items() %}"
    "{{ name }}: {{ p.type }} // {{ p.description }}\n{% endfor %});\n"
)
_MIXED = (
    '{"name": "{{ t.function.name }}", "description": "{{ t.function.description }}", '
    '"parameters": {{ t.function.parameters|tojson }}}\n'
)
# A template -> what is drafted: the text of each, and its notation. Without: none.
WRITTEN: dict[str, tuple[str, str, str]] = {
    "json": (_EACH.replace("EACH", "{{ t|tojson }}\n"), "{tool}", "json"),
    "functions_alone": (_EACH.replace("EACH", "{{ t.function|tojson }}\n"), "{function}", "json"),
    "indented": (_EACH.replace("EACH", "{{ t|tojson(indent=4) }}\n"), "{tool}", "json 4"),
    "ascii": (_EACH.replace("EACH", "{{ t|tojson(ensure_ascii=true) }}\n"), "{tool}", "ascii"),
    "python": (_EACH.replace("EACH", "{{ t }}\n"), "{tool}", "python"),
    "a_list": (
        "{% if tools is not none %}{{ tools|tojson }}{% endif %}" + _TURNS,
        "{tool}",
        "json",
    ),
    "types": (
        _EACH.replace("EACH", _TYPED),
        "{description}\ntype {name} = ({parameter}: string // {meaning}",
        "plain",
    ),
    "quotes_not_escaped": (
        _EACH.replace("EACH", _MIXED),
        '{name}", "description": "{description}", "parameters": {"type": "object", "properties": {'
        '"{parameter}": {"type": "string", "description": "{meaning}"}}, "required": ["{parameter}',
        "plain and json",
    ),
    "answer_opened_unless_told": (
        _EACH.replace("EACH", "{{ t|tojson }}")
        + "{% if add_generation_prompt is not defined or add_generation_prompt %}<a>{% endif %}",
        "{tool}",
        "json",
    ),
    "tag_of_answers": (
        _EACH.replace("EACH", "{{ t|tojson }}") + "{% generation %}{% endgeneration %}",
        "{tool}",
        "json",
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_how_functions_are_written_is_found(name: str) -> None:
    template, each, notation = WRITTEN[name]
    capabilities, frame = function_facts(template, {})
    assert capabilities == ["tools"]
    assert frame is not None
    assert (frame.each, frame.notation) == (each, notation)
    assert bool(frame.empty) == (name == "a_list")
    assert frame.prompt.endswith("<user>{content}")
    assert "{functions}" in frame.prompt


# Templates that write no functions, or not all of them, or refuse: none has the capability.
NONE = {
    "no_functions": _TURNS,
    "names_alone": _EACH.replace("EACH", "{{ t.function.name }}"),
    "no_description": _EACH.replace("EACH", "{{ t.function.name, t.function.parameters|tojson }}"),
    "the_first_alone": _EACH.replace("in tools", "in tools[:1]").replace("EACH", "{{ t|tojson }}"),
    "refused": "{% if tools %}{{ raise_exception('no tools') }}{% endif %}" + _TURNS,
    "needed": _TURNS + "{% for t in tools %}{{ t|tojson }}{% endfor %}",
    "of_another_argument": _EACH.replace("tools", "functions").replace("EACH", "{{ t|tojson }}"),
    "of_a_tag_that_jinja_lacks": "{% other %}" + _TURNS,
}


@pytest.mark.parametrize("name", NONE)
def test_a_template_that_does_not_write_them_has_no_such_capability(name: str) -> None:
    assert function_facts(NONE[name], {}) == ([], None)


# What no fields can say is left to what holds for any template.
UNFRAMED = {
    "names_first": "{% for t in tools or () %}{{ t.function.name }} {% endfor %}"
    + _EACH.replace("EACH", "{{ t|tojson }}"),
    "html": _EACH.replace("EACH", "{{ t|tojson|e }}"),
    "numbered": _EACH.replace("EACH", "{{ loop.index }} {{ t.function.name|upper }}{{ t|tojson }}"),
}


@pytest.mark.parametrize("name", UNFRAMED)
def test_a_way_that_no_field_expresses_is_not_guessed(name: str) -> None:
    assert function_facts(UNFRAMED[name], {}) == (["tools"], None)


# A template -> what is said of it, where its prompts with functions are not held to the letter.
SAID = {
    NONE["no_functions"]: "writes no functions",
    NONE["refused"]: "refuses functions: rendering raises TemplateError: no tools",
    NONE["names_alone"]: "does not write functions in full: description of afind_qj appears 0 ",
    UNFRAMED["html"]: "writes functions as no field of `functions` says: review its prompts",
}


def test_why_functions_are_not_tested_is_said(tmp_path: Path) -> None:
    folder = make(tmp_path / "mine", Family(_TURNS, ("</s>",), ("", ""), ""))
    for template, said in SAID.items():
        capabilities, frame = function_facts(template, {})
        can: tuple[Capability, ...] = ("chat", *capabilities)
        spec = replace(registry()["phi3"], key="mine", capabilities=can, functions=frame)
        loaded = LoadedTokenizer(spec, "directory", lambda: {"mine": folder})
        loaded.transformers.chat_template = template
        assert untested(loaded).startswith(said)
        if capabilities:
            known = replace(spec, functions=registry()["qwen3"].functions)
            assert not untested(replace(loaded, spec=known))


OWN = {
    "json_results": "{% for m in messages if m.role == 'tool' %}{{ m.content|tojson }}{% endfor %}",
    "date_string": "{{ date_string or 'never' }}",
    "builtin_tools": "{{ builtin_tools|join(' ') }}",
    "tools_in_user_message": "{% if tools and tools_in_user_message is not defined %}!{% endif %}",
}


@pytest.mark.parametrize("name", OWN)
def test_arguments_of_its_own_are_found(name: str) -> None:
    template = OWN[name] + _EACH.replace("EACH", "{{ t|tojson }}")
    assert function_facts(template, {})[0] == ["tools", name]


def test_what_is_misplaced_is_named() -> None:
    tools = offers()["functions.two"].functions
    text = json.dumps(tools)
    assert misplaced(text, tools, text) == ""
    assert misplaced(text, tools[::-1], text).endswith(", which was given first")
    assert misplaced(text + "limit", tools, text).startswith(
        "parameter of find_products appears 3 "
    )
    assert misplaced("", tools, None) == ("find_products appears 0 times in the prompt, expected 1")


def test_text_in_braces_is_no_placeholder() -> None:
    template, *_ = WRITTEN["json"]
    _, frame = function_facts(template, {})
    assert frame is not None
    (tool,) = offers()["functions.one"].functions
    tool = json.loads(json.dumps(tool).replace("Products", "{content} {functions} {name}"))
    text = with_functions(frame, [tool], "{functions}")
    assert text == f"<tools>{json.dumps(tool)}\n</tools><user>{{functions}}"


_CHATML = (  # of a tokenizer without BOS
    "{{ bos_token }}{% if tools %}<|im_start|>tools\n{% for t in tools %}{{ t|tojson }}\n"
    "{% endfor %}<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% endif %}"
)
_REACH, _AS_DECLARED = "test_functions_reach_the_prompt", "test_functions_are_written_as_declared"
# What is put in place of what after drafting -> the contract that is red, and its first line.
LATER = {
    "description_lost": (
        (
            "t|tojson",
            "{'type': t.type, 'function': {'name': t.function.name, 'parameters': "
            "t.function.parameters}}|tojson",
        ),
        _REACH,
        "mine functions.two: description of find_products appears 0 times in the prompt",
    ),
    "twice": (
        ("{{ t|tojson }}", "{{ t|tojson }}\n{{ t|tojson }}"),
        _REACH,
        "mine functions.two: find_products appears 2 times in the prompt, expected 1",
    ),
    "other_order": (
        ("t in tools", "t in tools|reverse"),
        _REACH,
        "mine functions.two: convert_price stands before find_products, which was given first",
    ),
    "python": (
        ("t|tojson", "t"),
        _AS_DECLARED,
        "mine functions.one: functions are written as python, the registry says json",
    ),
    "ascii": (
        ("t|tojson", "t|tojson(ensure_ascii=true)"),
        _AS_DECLARED,
        "mine functions.quotes_and_scripts: functions are written as ascii, the registry says json",
    ),
}


@pytest.mark.slow  # it drafts, and runs the contracts of chats for each fault
def test_a_draft_with_functions_is_green_and_later_faults_are_red(
    tmp_path: Path, project: Path
) -> None:
    family = Family(_CHATML, ("<|im_end|>", "<|im_start|>"), ("", ""), "")
    folder = make(tmp_path / "mine", family)
    drafted = run_anew("tests.tools.new_model", "mine", str(folder), "--write", cwd=shrink(project))
    assert drafted.code == 0, drafted.out[-3000:]
    assert drafted.line('capabilities = ["chat", "system", "tools"]')
    assert drafted.line("mine: green: ")
    settings = (folder / "tokenizer_config.json").read_bytes()
    for fault, red, line in LATER.values():
        spoil(folder, fault)
        run = run_pytest(
            *("tests/conformance/test_chat.py", "-q", "-k", "functions", "--models", "mine"),
            *("--model-dir", f"mine={folder}"),
            cwd=project,
        )
        assert run.code == 1
        assert run.line(f"::{red}[mine")
        assert "; likely cause: " in run.line(line)
        (folder / "tokenizer_config.json").write_bytes(settings)
