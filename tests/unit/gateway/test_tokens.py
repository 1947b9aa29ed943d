import time

import jwt

from services.gateway import tokens

KEY = b"k" * 48


def test_a_token_names_its_credential() -> None:
    assert tokens.client_of(KEY, tokens.issue(KEY, "xrc_1")) == "xrc_1"


def test_a_token_of_another_key_is_none() -> None:
    assert tokens.client_of(b"o" * 48, tokens.issue(KEY, "xrc_1")) is None


def test_an_expired_token_is_none() -> None:
    claims = {"iss": "crossroads", "sub": "xrc_1", "exp": int(time.time()) - 1}
    assert tokens.client_of(KEY, jwt.encode(claims, KEY, "HS256")) is None


def test_a_token_without_signature_is_none() -> None:
    claims = {"iss": "crossroads", "sub": "xrc_1", "exp": int(time.time()) + 60}
    assert tokens.client_of(KEY, jwt.encode(claims, None, "none")) is None


def test_a_token_that_never_expires_is_none() -> None:
    claims = {"iss": "crossroads", "sub": "xrc_1"}
    assert tokens.client_of(KEY, jwt.encode(claims, KEY, "HS256")) is None


def test_text_that_is_no_token_is_none() -> None:
    assert tokens.client_of(KEY, "a.b.c") is None
