"""What AWS's own library says about Bedrock: whether a request is one that the API takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator


@cache
def service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def problems(body: Mapping[str, Any], operation: str = "Converse") -> str:
    """What is wrong with a request's body; empty where it is right."""
    shape: Shape = service().operation_model(operation).input_shape
    return str(ParamValidator().validate({"modelId": "m", **body}, shape).generate_report())
