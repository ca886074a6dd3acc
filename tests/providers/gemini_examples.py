"""Answers of generateContent, as the Gemini API's documentation and the API itself have them."""

from __future__ import annotations

from typing import Any

from app.providers.base import Counts

STOP = "STOP"


def candidate(*parts: dict[str, Any], reason: str | None = STOP, **more: Any) -> dict[str, Any]:
    ended = {} if reason is None else {"finishReason": reason}
    return {"content": {"parts": list(parts), "role": "model"}, "index": 0} | ended | more


def answer(*candidates: dict[str, Any], usage: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    told = {} if usage is None else {"usageMetadata": usage}
    named = {"modelVersion": "gemini-3-flash-preview", "responseId": "mAitaLmkHPPlz7IPvtfUqQ4"}
    return {"candidates": list(candidates)} | told | named | more


def tokens(**by_modality: int) -> list[dict[str, Any]]:
    return [{"modality": modality.upper(), "tokenCount": count} for modality, count in by_modality.items()]


TEXT = {"text": "Absolutely!"}
# name: (the answer, the counts that it must be booked with)
EXAMPLES: dict[str, tuple[dict[str, Any], Counts]] = {
    # "Text generation": the total is the sum of its parts.
    "fresh": (
        answer(candidate(TEXT), usage={"promptTokenCount": 8, "candidatesTokenCount": 34, "totalTokenCount": 42}),
        {"input": 8, "output": 34},
    ),
    # "Gemini thinking": thoughtsTokenCount is not in candidatesTokenCount. "Context caching": what came from the cache
    # is in promptTokenCount.
    "cached pictures and thoughts": (
        answer(
            candidate(TEXT),
            usage={
                "promptTokenCount": 326,
                "candidatesTokenCount": 63,
                "totalTokenCount": 543,
                "cachedContentTokenCount": 173,
                "promptTokensDetails": tokens(text=68, image=258),
                "cacheTokensDetails": tokens(image=137, text=36),
                "thoughtsTokenCount": 154,
            },
        ),
        {
            "input": 326,
            "output": 63 + 154,
            "cache_read": 173,
            "reasoning": 154,
            "image_input": 258,
            "cache_read_image": 137,
        },
    ),
    # "Speech generation".
    "speech": (
        answer(
            candidate({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAAA"}}),
            usage={
                "promptTokenCount": 5,
                "candidatesTokenCount": 55,
                "totalTokenCount": 60,
                "promptTokensDetails": tokens(text=5),
                "candidatesTokensDetails": tokens(audio=55),
            },
        ),
        {"input": 5, "output": 55, "audio_output": 55},
    ),
    # "Image generation": a picture of 1024 by 1024 pixels is 1,290 tokens.
    "a picture": (
        answer(
            candidate({"text": "Here:"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}}),
            usage={
                "promptTokenCount": 10,
                "candidatesTokenCount": 1295,
                "totalTokenCount": 1305,
                "candidatesTokensDetails": tokens(text=5, image=1290),
            },
        ),
        {"input": 10, "output": 1295, "image_output": 1290},
    ),
    # "Audio understanding": 32 tokens a second; "Document understanding": 258 tokens a page; "Video understanding".
    "audio from the cache, a document and a video": (
        answer(
            candidate(TEXT),
            usage={
                "promptTokenCount": 10 + 1920 + 516 + 2630,
                "cachedContentTokenCount": 1920,
                "candidatesTokenCount": 20,
                "totalTokenCount": 5096,
                "promptTokensDetails": tokens(text=10, audio=1920, document=516, video=2630),
                "cacheTokensDetails": tokens(audio=1920),
            },
        ),
        {
            "input": 5076,
            "output": 20,
            "cache_read": 1920,
            "audio_input": 1920,
            "cache_read_audio": 1920,
            "image_input": 516 + 2630,
        },
    ),
    # "URL context": what a tool has brought to read comes on top of the prompt.
    "read by a tool": (
        answer(
            candidate(TEXT),
            usage={
                "promptTokenCount": 27,
                "candidatesTokenCount": 45,
                "toolUsePromptTokenCount": 10309,
                "thoughtsTokenCount": 31,
                "totalTokenCount": 10412,
                "promptTokensDetails": tokens(text=27),
                "toolUsePromptTokensDetails": tokens(text=10309),
            },
        ),
        {"input": 27 + 10309, "output": 45 + 31, "reasoning": 31},
    ),
    # "Grounding with Google Search": from Gemini 3 on each search is billed, empty ones are not.
    "two searches": (
        answer(
            candidate(TEXT, groundingMetadata={"webSearchQueries": ["UEFA Euro 2024 winner", "who won euro 2024", ""]}),
            usage={"promptTokenCount": 9, "candidatesTokenCount": 40, "totalTokenCount": 49},
        ),
        {"input": 9, "output": 40, "web_searches": 2},
    ),
    # The same page: up to Gemini 2.5 each answer that has searched is billed once.
    "two searches before Gemini 3": (
        answer(
            candidate(TEXT, groundingMetadata={"webSearchQueries": ["UEFA Euro 2024 winner", "who won euro 2024"]}),
            usage={"promptTokenCount": 9, "candidatesTokenCount": 40, "totalTokenCount": 49},
            modelVersion="gemini-2.5-flash",
        ),
        {"input": 9, "output": 40, "web_searches": 1},
    ),
    # The total is documented as the sum of all: tokens that are in none of its parts are output.
    "more in all than in its parts": (
        answer(candidate(TEXT), usage={"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 40}),
        {"input": 10, "output": 30},
    ),
    "thoughts among the candidates": (
        answer(
            candidate(TEXT),
            usage={
                "promptTokenCount": 10,
                "candidatesTokenCount": 50,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 60,
            },
        ),
        {"input": 10, "output": 50, "reasoning": 30},
    ),
    # "Safety settings": no candidates, and the prompt is billed.
    "a blocked prompt": (
        {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12},
            "modelVersion": "gemini-2.5-flash",
            "responseId": "r1",
        },
        {"input": 12, "output": 0},
    ),
}
