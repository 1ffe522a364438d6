"""From models to JSON."""

from pydantic import BaseModel


def json_of(model: BaseModel) -> bytes:
    """What `model_dump_json` answers, encoded, without a text in between."""
    return model.__pydantic_serializer__.to_json(model)
