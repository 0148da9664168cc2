"""`exgs completion`: a script that completes commands, options and file names in a shell.

It is generated from the argument parsers of the commands.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from exgs.cli.output import Output

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
# exgs completion for bash: put `eval "$(exgs completion bash)"` into ~/.bashrc
_exgs() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" command="" options="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{COMP_WORDS[i]}}" in -*) ;; *) command="${{COMP_WORDS[i]}}"; break ;; esac
    done
    if [ -z "$command" ]; then
        COMPREPLY=($(compgen -W "{commands} --help --version" -- "$word"))
        return
    fi
    case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{choices}
    esac
    case "$command" in
{options}
    esac
    case "$word" in
        -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}}
complete -o filenames -F _exgs exgs
"""
_ZSH = """\
# exgs completion for zsh: put `eval "$(exgs completion zsh)"` into ~/.zshrc
autoload -U +X compinit && compinit -u
autoload -U +X bashcompinit && bashcompinit
"""


@dataclass(frozen=True, slots=True)
class _Option:
    names: tuple[str, ...]
    takes_value: bool
    choices: tuple[str, ...]
    help: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("shell", choices=SHELLS, help="to write the script for")


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    scripts = {"bash": _bash, "zsh": lambda found: _ZSH + _bash(found), "fish": _fish}
    output.result(scripts[arguments.shell](_declared()).rstrip("\n"))


def _declared() -> dict[str, list[_Option]]:
    """The options of every command."""
    from exgs.cli.commands import COMMANDS, declare

    found = {}
    for name in COMMANDS:
        parser = argparse.ArgumentParser(prog=name)
        try:
            declare(parser, name)
        except ModuleNotFoundError as error:  # an extra that is not installed
            if (error.name or "exgs").split(".")[0] == "exgs":
                raise
        found[name] = [
            _Option(
                tuple(action.option_strings),
                action.nargs != 0,
                tuple(map(str, action.choices or ())),
                (action.help or "").replace("%%", "%"),
            )
            for action in parser._actions
            if action.option_strings
        ]
    return found


def _bash(found: dict[str, list[_Option]]) -> str:
    choices = {
        "|".join(option.names): " ".join(option.choices)
        for options in found.values()
        for option in options
        if option.choices
    }
    cases = [
        f'        {names}) COMPREPLY=($(compgen -W "{words}" -- "$word")); return ;;'
        for names, words in sorted(choices.items())
    ]
    options = [
        f'        {name}) options="{" ".join(n for o in options for n in o.names)}" ;;'
        for name, options in found.items()
    ]
    return _BASH.format(
        commands=" ".join(found), choices="\n".join(cases), options="\n".join(options)
    )


def _fish(found: dict[str, list[_Option]]) -> str:
    from exgs.cli.commands import COMMANDS

    lines = ["# exgs completion for fish: exgs completion fish | source"]
    for name, summary in COMMANDS.items():
        text = _quoted(summary)
        lines.append(f"complete -c exgs -n __fish_use_subcommand -f -a {name} -d {text}")
    for name, options in found.items():
        for option in options:
            words = [f"complete -c exgs -n '__fish_seen_subcommand_from {name}'"]
            words += [f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names]
            if option.choices:
                words.append(f"-x -a '{' '.join(option.choices)}'")
            elif option.takes_value:
                words.append("-r")
            lines.append(" ".join([*words, "-d", _quoted(option.help)]))
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
