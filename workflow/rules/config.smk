# The configuration, checked before anything else: one line names the key, its value and what is allowed.
from jsonschema import ValidationError

from workflow.convergent.commands import InputError
from workflow.convergent.configuration import check, complete


def check_schema(config, schema):
    """Fill in the schema's defaults; on the first wrong entry stop with one line."""
    try:
        validate(config, schema)
    except WorkflowError as error:
        wrong = error.__context__
        if not isinstance(wrong, ValidationError):
            raise
        where = wrong.json_path.removeprefix("$").removeprefix(".") or "top level"
        meant = (
            wrong.schema.get("description", "")
            if isinstance(wrong.schema, dict)
            else ""
        )
        raise SystemExit(
            f"Configuration, {where}: {wrong.message}. {meant}".rstrip()
        ) from None


check_schema(config, "../schemas/config.schema.yaml")
try:
    complete(config)
    check(config)
except InputError as refusal:
    raise SystemExit(str(refusal)) from None
