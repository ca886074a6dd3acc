"""Signatures are those that AWS's own library makes."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from app.providers.aws_signing import AwsKeys, signed

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0"

printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
# A path's dots alone are taken away by every HTTP client, and no model's name consists of them.
models = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(lambda model: model.strip("."))


def of_botocore(keys: AwsKeys, region: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
    request = AWSRequest("POST", url, headers=headers, data=body)
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    SigV4Auth(credentials, "bedrock", region).add_auth(request)
    return dict(request.headers.items())


@given(
    keys=st.builds(AwsKeys, printable, printable, st.none() | printable),
    region=st.sampled_from(["us-east-1", "eu-central-1", "us-gov-west-1"]),
    host=st.sampled_from(
        [
            "https://bedrock-runtime.us-east-1.amazonaws.com",
            "http://127.0.0.1:8080",
            "https://X.test:443/a b",
            "http://[::1]",
        ]
    ),
    model=models,
    agent=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    body=st.binary(max_size=200),
)
@example(AwsKeys(ACCESS, SECRET), "us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com", CLAUDE, "", b"{}")
@example(AwsKeys(ACCESS, SECRET, "tok/en+="), "us-west-2", "https://vpce.test", PROFILE, " a   b ", b"{}")
def test_a_signature_is_botocores(keys: AwsKeys, region: str, host: str, model: str, agent: str, body: bytes) -> None:
    url = f"{quote(host, safe=':/[]')}/model/{quote(model, safe='')}/converse"
    headers = {"Content-Type": "application/json", "X-Custom": agent}
    theirs = of_botocore(keys, region, url, headers, body)
    now = datetime.strptime(theirs["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert signed(keys, region, url, headers, body, now) == theirs


def test_the_colon_of_a_model_is_signed_as_it_is_encoded_twice() -> None:
    # A signature over the path as it is on the wire is the usual mistake, and Bedrock refuses it with 403.
    url = f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{quote(CLAUDE, safe='')}/invoke"
    once = url.replace("%3A", ":")
    keys = AwsKeys(ACCESS, SECRET)
    proofs = {signed(keys, "us-east-1", each, {}, b"{}", NOW)["Authorization"] for each in (url, once)}
    assert len(proofs) == 2


def test_keys_show_nothing_of_themselves() -> None:
    assert repr(AwsKeys("AKIA1", "hidden", "token")) == "AwsKeys()"
