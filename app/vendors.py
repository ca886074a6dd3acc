"""The table of vendors: what stands before the "/" of a model in config.yaml, one line each.

A vendor that speaks the language of one that is here needs nothing but its line. One with a language of its own needs
a file in providers/ too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """A parameter that only some vendors have: `variables` of the environment give it where config.yaml does not.

    `address`: calls go there, credentials and all. `document`: it is a JSON text or the path of one, and no header.
    """

    name: str
    variables: tuple[str, ...] = ()
    secret: bool = False
    needed: bool = False
    address: bool = False
    document: bool = False


@dataclass(frozen=True, slots=True)
class Vendor:
    """One line of the table.

    `prices` is whose prices count, by the names of genai-prices. `speaks` names the wire formats (`providers.PROVIDERS`
    has a provider for each). `api_base` is the vendor's own address; None: each deployment has its own, or it is made
    of options. `base_variables` and `key_variables` of the environment say where and with which key it is called where
    config.yaml does not; LiteLLM reads the same ones. A vendor with `base_variables` lives at an address of one's own.
    `path` is what may stand before a model's own name, which is the name that it has a price by.
    """

    prices: str
    speaks: str = "openai"
    api_base: str | None = None
    key_variables: tuple[str, ...] = ()
    key_needed: bool = True
    base_variables: tuple[str, ...] = ()
    base_needed: bool = False
    options: tuple[Option, ...] = ()
    path: re.Pattern[str] | None = None


# LiteLLM's configurations choose an API of Bedrock's by "converse/" and "invoke/", where here the route does.
BEDROCK_PATH = re.compile(
    r"(?:(?:converse|invoke)/)?(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)/)?(?:(?:converse|invoke)/)?"
)

VENDORS = {
    "openai": Vendor("openai", api_base="https://api.openai.com/v1", key_variables=("OPENAI_API_KEY",)),
    "anthropic": Vendor(
        "anthropic", "anthropic", api_base="https://api.anthropic.com", key_variables=("ANTHROPIC_API_KEY",)
    ),
    "azure": Vendor(
        "azure",
        "azure",
        key_variables=("AZURE_API_KEY",),
        base_variables=("AZURE_API_BASE",),
        base_needed=True,
    ),
    # Google AI Studio. GOOGLE_API_KEY is LiteLLM's second choice.
    "gemini": Vendor(
        "google",
        "gemini",
        api_base="https://generativelanguage.googleapis.com/v1beta",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
    "mistral": Vendor("mistral", "mistral", api_base="https://api.mistral.ai/v1", key_variables=("MISTRAL_API_KEY",)),
    "groq": Vendor("groq", "groq", api_base="https://api.groq.com/openai/v1", key_variables=("GROQ_API_KEY",)),
    # LiteLLM's address: with /beta, chat has strict tools and prefixes, and completions (fill in the middle) exist.
    "deepseek": Vendor(
        "deepseek", "deepseek", api_base="https://api.deepseek.com/beta", key_variables=("DEEPSEEK_API_KEY",)
    ),
    "together_ai": Vendor(
        "together",
        "together",
        api_base="https://api.together.xyz/v1",
        key_variables=("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"),
    ),
    "fireworks_ai": Vendor(
        "fireworks",
        "fireworks",
        api_base="https://api.fireworks.ai/inference/v1",
        key_variables=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY"),
    ),
    # What follows is the whole name there: openrouter/anthropic/claude-sonnet-4.5 -> anthropic/claude-sonnet-4.5.
    "openrouter": Vendor(
        "openrouter",
        "openrouter",
        api_base="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY", "OR_API_KEY"),
    ),
    "xai": Vendor("x-ai", "xai", api_base="https://api.x.ai/v1", key_variables=("XAI_API_KEY",)),
    "perplexity": Vendor(
        "perplexity",
        "perplexity",
        api_base="https://api.perplexity.ai",
        key_variables=("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
    ),
    # LiteLLM has both names for the same.
    **dict.fromkeys(
        ("cohere", "cohere_chat"),
        Vendor(
            "cohere",
            "cohere",
            api_base="https://api.cohere.ai/compatibility/v1",
            key_variables=("COHERE_API_KEY", "CO_API_KEY"),
        ),
    ),
    **dict.fromkeys(
        ("ollama", "ollama_chat"),
        Vendor(
            "ollama",
            "ollama",
            api_base="http://localhost:11434",
            key_variables=("OLLAMA_API_KEY",),
            key_needed=False,
            base_variables=("OLLAMA_API_BASE",),
        ),
    ),
    "hosted_vllm": Vendor(
        "vllm",
        "vllm",
        key_variables=("HOSTED_VLLM_API_KEY",),
        key_needed=False,
        base_variables=("HOSTED_VLLM_API_BASE",),
        base_needed=True,
    ),
    # Any server that speaks OpenAI's language, by LiteLLM's names; openai/… with an api_base is the same.
    "openai_like": Vendor(
        "openai_like",
        key_variables=("OPENAI_LIKE_API_KEY",),
        key_needed=False,
        base_variables=("OPENAI_LIKE_API_BASE",),
        base_needed=True,
    ),
    "custom_openai": Vendor("custom_openai", key_needed=False, base_needed=True),
    "bedrock": Vendor(
        "aws",
        "bedrock",
        key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
        key_needed=False,
        options=(
            Option("aws_access_key_id", ("AWS_ACCESS_KEY_ID",), secret=True),
            Option("aws_secret_access_key", ("AWS_SECRET_ACCESS_KEY",), secret=True),
            Option("aws_session_token", ("AWS_SESSION_TOKEN",), secret=True),
            Option("aws_region_name", ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")),
            Option("aws_bedrock_runtime_endpoint", ("AWS_BEDROCK_RUNTIME_ENDPOINT",), address=True),
        ),
        path=BEDROCK_PATH,
    ),
    "vertex_ai": Vendor(
        "google",
        "vertex_ai",
        key_needed=False,
        options=(
            Option("vertex_project", ("VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT")),
            Option("vertex_location", ("VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION")),
            Option(
                "vertex_credentials",
                ("VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"),
                secret=True,
                document=True,
            ),
        ),
    ),
}
OPTIONS = tuple(dict.fromkeys(option.name for vendor in VENDORS.values() for option in vendor.options))
SECRET_OPTIONS = tuple(
    dict.fromkeys(option.name for vendor in VENDORS.values() for option in vendor.options if option.secret)
)
# Where calls go, beside api_base.
ADDRESS_OPTIONS = tuple(option.name for vendor in VENDORS.values() for option in vendor.options if option.address)
