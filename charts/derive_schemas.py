#!/usr/bin/env python3
"""Writes what is derived from the chart's schema and values.

Those are the CustomResourceDefinitions, the options of the Ansible role and of the modules, and the pages about Config
and ImagePruner.
``--check`` changes nothing and fails when one of them is old.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

import yaml
from config_language import CHARTS, Field, Source, kind_of
from custom_resource import CHOSEN_BY_PEOPLE, KINDS, Kind, definition
from module_options import documented, fragments, specs
from role_options import options

ROOT = CHARTS.parent
COLLECTION = ROOT / "collections/ansible_collections/alauda/registry"
ROLE = COLLECTION / "roles/install/meta/argument_specs.yml"
ARGUMENTS = COLLECTION / "plugins/module_utils/_config_options.py"
FRAGMENTS = COLLECTION / "plugins/doc_fragments/_config_options.py"
SPECS = {
    "CONFIG": "The registry, C(Config.spec) of the operator. What is not named stays as it is.",
    "IMAGEPRUNER": "The schedule, C(ImagePruner.spec) of the operator. What is not named stays as it is.",
}
PAGES = {"Config": ROOT / "docs/reference/config.md", "ImagePruner": ROOT / "docs/reference/image-pruner.md"}
VARIABLES = {"Config": "registry_config", "ImagePruner": "registry_pruner"}
NOTE = "# Made from the chart image-registry by charts/derive_schemas.py; do not edit."
MADE_BY = "imageregistry.operator.alauda.io/made-by-version"
TABLE_BEGIN, TABLE_END = "<!-- fields: begin -->", "<!-- fields: end -->"
RULES_BEGIN, RULES_END = "<!-- rules: begin -->", "<!-- rules: end -->"


class _Dumper(yaml.SafeDumper):
    """Lists are indented, and nothing refers to anything."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    """Several lines as several lines."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dumped(document: Any, width: int = 120) -> str:
    """YAML as the linter of this repository likes it."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=width, allow_unicode=True)


def between(text: str, begin: str, end: str, new: str) -> str:
    """The text with another middle part."""
    head, found, rest = text.partition(begin)
    if not found:
        raise SystemExit(f"no line `{begin}`")
    return f"{head}{begin}\n{new}{end}{rest.partition(end)[2]}"


def role(languages: dict[Kind, Field]) -> str:
    """The argument specs of the role with the options of ``registry_config`` and ``registry_pruner``."""
    text = ROLE.read_text(encoding="utf-8")
    for kind, language in languages.items():
        begin = f"        # {VARIABLES[kind.name]}: begin (made by charts/derive_schemas.py)"
        block = textwrap.indent(dumped({"options": options(language)}), " " * 8)
        text = between(text, begin, f"        # {VARIABLES[kind.name]}: end", block)
    return text


def page(about: Kind, source: Source, language: Field) -> str:
    """The page with its table of fields and its list of rules."""
    rows = ["| Field | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    for place in language.all():
        if place.path == about.value or not place.meaning or place.path.endswith(("[]", "*")):
            continue
        kind = {"number-or-text": "quantity", "open": "object of Kubernetes"}.get(
            kind_of(place.schema), kind_of(place.schema)
        )
        choices = place.schema.get("enum")
        # 3 and "3" are one choice
        shown = " ".join(dict.fromkeys(f"`{choice}`" for choice in choices if choice != "")) if choices else kind
        default = "**required**" if place.required else _shown(place)
        name = place.path.replace(about.value, "spec", 1)
        rows.append(f"| `{name}` | {shown} | {default} | {place.meaning.replace('|', chr(92) + '|')} |")
    text = between(PAGES[about.name].read_text(encoding="utf-8"), TABLE_BEGIN, TABLE_END, "\n".join(rows) + "\n")
    rules = "".join(f"- `{rule['at'] or 'metadata'}`: {rule['message']}.\n" for rule in source.rules)
    return between(text, RULES_BEGIN, RULES_END, rules)


def _shown(place: Field) -> str:
    _, _, member = place.path.partition(".")
    if kind_of(place.schema) == "object" or place.default in (None, "") or member in CHOSEN_BY_PEOPLE:
        return ""
    return f"`{json.dumps(place.default, ensure_ascii=False)}`"


def template(document: dict[str, Any]) -> str:
    """A definition as a template of the operator's chart that is left out where a newer version's is in the cluster.

    A definition that goes back takes fields out of objects that are there. The words for Helm are comments for
    everybody else, so that the file is YAML also before it is rendered.
    """
    name = document["metadata"]["name"]
    document["metadata"]["annotations"][MADE_BY] = "{{ .Chart.Version }}"
    live = f'lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "{name}"'
    theirs = f'dig "metadata" "annotations" "{MADE_BY}" "0.0.0-0" ({live} | default dict)'
    begin = f"# {{{{- if ge ((semver .Chart.Version).Compare (semver ({theirs}))) 0 }}}}"
    return f"{NOTE}\n{begin}\n---\n{dumped(document)}# {{{{- end }}}}\n"


def derived() -> dict[Path, str]:
    """Every file that is made, with what it should hold."""
    sources = {kind: Source.of_the_chart(kind.value, kind.rules) for kind in KINDS}
    languages = {kind: source.language() for kind, source in sources.items()}
    found = {kind.file: template(definition(kind, source)) for kind, source in sources.items()}
    found |= {PAGES[kind.name]: page(kind, source, languages[kind]) for kind, source in sources.items()}
    named = {kind.name.upper(): language for kind, language in languages.items()}
    said = {name: dumped(documented(language, SPECS[name]), 92) for name, language in named.items()}
    return {**found, ROLE: role(languages), ARGUMENTS: specs(named), FRAGMENTS: fragments(said)}


def main() -> None:
    """Write the files, or say which are old."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file is old")
    arguments = parser.parse_args()
    old = [(path, text) for path, text in derived().items() if not path.exists() or path.read_text("utf-8") != text]
    if arguments.check and old:
        names = ", ".join(str(path.relative_to(ROOT)) for path, _ in old)
        parser.exit(1, f"{names}: not what the chart's schema says: run python3 charts/derive_schemas.py\n")
    for path, text in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
