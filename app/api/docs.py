"""The page at /: Swagger UI over /openapi.json, from files of our own, without any other host."""

from __future__ import annotations

import importlib.resources
from typing import Any

from flask import Blueprint

from app.api.guards import FOR_MASTER, MASTER_KEY, VIRTUAL_KEY

VERSION = "0.1.0"
INTRODUCTION = """
An LLM gateway with virtual keys, budgets and limits that hold.

Press **Authorize** and enter the master key to manage users and keys, or a virtual key to call models. Every error has
the same shape: `{"error": {"message", "type", "param", "code"}}`. Money is in dollars, moments are UTC in ISO 8601.
"""
SWAGGER_UI = importlib.resources.files("flask_swagger_ui") / "dist"


def config() -> dict[str, Any]:
    """What flask-smorest needs to describe the API and to draw the page. URLs are relative: right under any prefix."""
    return {
        "API_TITLE": "Tollgate",
        "API_VERSION": VERSION,
        "OPENAPI_VERSION": "3.1.0",
        "OPENAPI_URL_PREFIX": "/",
        "OPENAPI_JSON_PATH": "openapi.json",
        "OPENAPI_SWAGGER_UI_PATH": "/",
        "OPENAPI_SWAGGER_UI_URL": "swagger-ui/",
        "OPENAPI_SWAGGER_UI_CONFIG": {"persistAuthorization": True, "validatorUrl": None, "docExpansion": "list"},
        "API_SPEC_OPTIONS": {
            "info": {"description": INTRODUCTION},
            "security": FOR_MASTER,
            "components": {
                "securitySchemes": {
                    MASTER_KEY: _bearer("The master key: all routes."),
                    VIRTUAL_KEY: _bearer("A virtual key: model calls, and its own info."),
                }
            },
        },
    }


def assets() -> Blueprint:
    """Swagger UI's own files, made anew for each application."""
    return Blueprint("swagger_ui", __name__, static_folder=str(SWAGGER_UI), static_url_path="/swagger-ui")


def _bearer(description: str) -> dict[str, str]:
    return {"type": "http", "scheme": "bearer", "description": description}
