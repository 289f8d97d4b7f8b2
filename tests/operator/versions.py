"""A newer version of this one: the same charts with another number and a field, and a step more of the database.

What a version of the future changes is not known, so this is the least that every one may change (ADR 63).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.operator.conftest import ROOT

NUMBER = "2.9.0"
FIELD = "greeting"
MIGRATION = "v9000_greeting.py"


def newer(folder: Path) -> Path:
    """Both charts of the newer version below ``folder``; returns where."""
    charts = folder / "charts"
    for name in ("image-registry", "cluster-image-registry-operator"):
        shutil.copytree(ROOT / "charts" / name, charts / name)
        file = charts / name / "Chart.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "version": NUMBER, "appVersion": NUMBER}))
    chart = charts / "image-registry"
    schema = json.loads((chart / "values.schema.json").read_text())
    for value in ("config", "imagePruner"):
        schema["definitions"][value]["properties"][FIELD] = {"type": "string"}
    (chart / "values.schema.json").write_text(json.dumps(schema))
    values = (chart / "values.yaml").read_text()
    (chart / "values.yaml").write_text(values.replace("\nconfig:\n", f"\nconfig:\n  {FIELD}: ''\n", 1))
    said = f"said: {{{{ .Values.config.{FIELD} | quote }}}}"
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {FIELD}\ndata:\n  {said}\n"
    (chart / "templates/greeting.yaml").write_text(text)
    for kind in ("configs", "imagepruners"):
        definition = charts / f"cluster-image-registry-operator/templates/crds/{kind}.yaml"
        lines = definition.read_text().splitlines()
        document: dict[str, Any] = yaml.safe_load("\n".join(lines))
        spec = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec["properties"][FIELD] = {"type": "string"}
        definition.write_text("\n".join([*lines[:3], yaml.safe_dump(document), lines[-1], ""]))
    return charts


def migration(before: str) -> str:
    """A step that expands: a column that older programs never write, and a table that they do not know."""
    return f'''"""A step of a newer version."""

import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("images", sa.Column("{FIELD}", sa.String, nullable=True))
    op.create_table("greetings", sa.Column("id", sa.Integer, primary_key=True))


def downgrade() -> None:
    op.drop_table("greetings")
    op.drop_column("images", "{FIELD}")
'''
