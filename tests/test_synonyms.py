"""Words for something else: what they suggest exists."""

from __future__ import annotations

import re

import click
import pytest

from varsim import synonyms
from varsim.activations import canonical_name as activation
from varsim.catalog.distributions import SUMMARIES
from varsim.catalog.scales import ALIASES, SCALES, find_scale
from varsim.cli.help import topics
from varsim.cli.program import varsim
from varsim.errors import InputError, nearest

COMMANDS: dict[str, click.Command] = {"varsim": varsim, **varsim.subcommands()}


def options_of(command: str) -> set[str]:
    return {flag for param in COMMANDS[command].params for flag in param.opts}


@pytest.mark.parametrize("command", synonyms.OPTIONS)
def test_every_option_that_is_suggested_is_one_of_the_command(command: str) -> None:
    """And no word for it is an option already."""
    for word, meant in synonyms.OPTIONS[command].items():
        assert word not in options_of(command)
        assert meant.startswith("varsim ") or re.split(r"[ ,]", meant)[0] in options_of(command)


def test_a_word_for_every_command_means_an_option_of_one() -> None:
    """A command without the option does not suggest it."""
    options = {option for command in COMMANDS for option in options_of(command)}
    for word, meant in synonyms.ALL_OPTIONS.items():
        assert word not in options
        assert meant == "varsim --version" or meant.split()[0] in options
    context = click.Context(COMMANDS["init"], info_name="init", parent=click.Context(varsim))
    with pytest.raises(click.UsageError, match="there is no option '--tol'") as refused:
        COMMANDS["init"].parse_args(context, ["--tol", "1"])
    assert "--precision" not in str(refused.value)


def test_every_scheme_that_is_suggested_is_one() -> None:
    """The word itself is refused, with the hint."""
    for word, meant in synonyms.SCALES.items():
        with pytest.raises(InputError) as refused:
            find_scale(word)
        assert str(refused.value).endswith(meant)
        named = re.findall(r"take (?:--scale )?([a-z-]+)", meant)
        assert all(name in {*SCALES, *ALIASES} for name in named), word
        assert named or "--" in meant or "write" in meant, word


def test_every_topic_and_command_that_is_suggested_is_one() -> None:
    """And no word for it is one already."""
    for word, meant in synonyms.TOPICS.items():
        assert meant.removeprefix("see varsim help ") in topics()
        assert word not in topics()
        assert word not in COMMANDS
    for word, meant in synonyms.COMMANDS.items():
        assert word not in COMMANDS
        named = re.match(r"varsim ([a-z]+)", meant)
        assert named is None or named[1] in {*COMMANDS, "alone"}


def test_every_value_that_is_suggested_is_one() -> None:
    """A distribution, a norm, a type or a design; an activation."""
    known = {*SUMMARIES, "layer", "batch", "rms", "float32", "float64", "paired"}
    for meant in synonyms.VALUES.values():
        assert re.split(r"[ ,(]", meant.removeprefix("take "))[0] in known
    for meant in synonyms.ACTIVATIONS.values():
        if meant.startswith("take "):
            activation(meant.removeprefix("take "))


def test_meaning_comes_before_spelling() -> None:
    """A word with a meaning is not taken for a near name."""
    assert nearest("Batch_Norm", ["batch-normal"], synonyms.VALUES) == "take batch"
    assert nearest("nrmal", ["normal"], synonyms.VALUES) == "did you mean normal?"
