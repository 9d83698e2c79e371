"""Run by tests/e2e/test_azureml_sdk.py with azure-ai-ml in PYTHONPATH; prints JSON.

  sdk.py FILE...   `loaded`: each file, as `az ml online-… create --file` loads it. The entries `files` of an overlay beside it stand for
                   az's options (--name, --endpoint-name). `keys`: the keys that the schemas allow, level by level; "*": any key
  sdk.py           only `keys`
"""
import json
import logging
import pathlib
import sys

import yaml
from azure.ai.ml import load_online_deployment, load_online_endpoint
from azure.ai.ml._schema._deployment.online.online_deployment import KubernetesOnlineDeploymentSchema, ManagedOnlineDeploymentSchema
from azure.ai.ml._schema._deployment.online.resource_settings_schema import ResourceSettingsSchema
from azure.ai.ml._schema._endpoint.online.online_endpoint import KubernetesOnlineEndpointSchema, ManagedOnlineEndpointSchema
from azure.ai.ml._schema.core.fields import ExperimentalField, UnionField
from marshmallow import fields

SCHEMAS = {
    "kubernetesOnlineDeployment": KubernetesOnlineDeploymentSchema,
    "managedOnlineDeployment": ManagedOnlineDeploymentSchema,
    "kubernetesOnlineEndpoint": KubernetesOnlineEndpointSchema,
    "managedOnlineEndpoint": ManagedOnlineEndpointSchema,
}


def command_line(file):
    """Returns the values of `az`'s options for this file."""
    for overlay in sorted(file.parent.glob("*.overlay.y*ml")):
        for name, said in (yaml.safe_load(overlay.read_text()).get("files") or {}).items():
            if (file.parent / name).resolve() == file.resolve():
                return [{key: value} for key, value in said.items() if key in ("name", "endpoint_name")]
    return []


def load(file):
    loader = load_online_endpoint if file.name.endswith("endpoint.yml") else load_online_deployment
    try:
        loaded = loader(str(file), params_override=command_line(file))
        return [type(loaded).__name__, loaded.name]
    except Exception as refused:  # noqa: BLE001 - whatever it says
        return ["refused", str(refused)]


def members(all_fields):
    return {field.data_key or name: keys(field) for name, field in sorted(all_fields.items()) if not field.dump_only}


def keys(field):
    if isinstance(field, ExperimentalField):
        return keys(field._experimental_field)  # noqa: SLF001
    if isinstance(field, fields.Nested):
        inner = members(field.schema.fields)
        # the key is renamed before it is read
        return {**inner, "nvidia.com/gpu": "*"} if isinstance(field.schema, ResourceSettingsSchema) else inner
    if isinstance(field, fields.Dict):
        inner = keys(field.value_field) if field.value_field is not None else "*"
        return {"*": inner} if isinstance(inner, dict) else "*"
    if isinstance(field, UnionField):
        together = {}
        for each in field.union_fields:
            inner = keys(each)
            together.update(inner if isinstance(inner, dict) else {})
        return together or "*"
    return "*"


def main():
    logging.disable(logging.WARNING)
    allowed = {name: members(schema(context={"base_path": "."}).fields) for name, schema in SCHEMAS.items()}
    return {"loaded": {file: load(pathlib.Path(file)) for file in sys.argv[1:]}, "keys": allowed} if sys.argv[1:] else allowed


if __name__ == "__main__":
    json.dump(main(), sys.stdout, indent=1, sort_keys=True)
    print()
