"""The settings of a specification as options: a new field there is a new option here."""

import argparse
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from adaptsample.loop.specification import DEFAULTS, SETTINGS

OF_EVALUATION: Final = ("asynchronous", "timeout", "retries")
"""Settings that say where and how evaluations run."""

OF_RUN: Final = tuple(name for name in SETTINGS if name not in OF_EVALUATION)
"""All the others."""


def add_settings(
    group: argparse._ActionsContainer,
    *names: str,
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Declare an option for each of these settings; what is not given is None.

    Args:
        group: of options.
        names: of settings.
        defaults: in words, where they are not those of the specification.
    """
    for name in names:
        setting, option = SETTINGS[name], f"--{name.replace('_', '-')}"
        if setting.kind is bool:
            group.add_argument(option, action="store_true", default=None, help=setting.help)
            continue
        default = defaults.get(name, setting.default_text or DEFAULTS[name])
        group.add_argument(
            option,
            type=setting.kind,
            choices=setting.choices or None,
            metavar=setting.metavar,
            help=setting.help if default is None else f"{setting.help} (default: {default})",
        )


def add_recipes(group: argparse._ActionsContainer) -> None:
    """Declare ``--strategy`` and ``--surrogate``; a surrogate that is not given is None."""
    strategy, surrogate = DEFAULTS["strategy"], DEFAULTS["surrogate"]
    group.add_argument(
        "--strategy", default=strategy, help=f"who proposes points (default: {strategy})"
    )
    group.add_argument("--surrogate", help=f"what is fitted (default: {surrogate})")


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given."""
    given = {name: getattr(options, name, None) for name in SETTINGS}
    return {name: value for name, value in given.items() if value is not None}
