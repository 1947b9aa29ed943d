"""Who may ask: K01, K29, X12."""

from collections.abc import AsyncIterator

import pytest

from services.records import credentials
from tests.integration.gateway_world import BODY, World, gateway

GET = "/v1/order/get"
ASKED = {"order_number": "none"}


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[World]:
    async with gateway(fresh_database) as made:
        yield made


async def test_without_a_credential_it_is_401_with_a_challenge(world: World) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}):
        response = await world.client.post(GET, json=ASKED, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert list(response.json()) == ["detail"]


async def test_a_bad_or_revoked_credential_is_401(world: World) -> None:
    await world.tenant("acme", "ACME Fuels")
    made = await world.credential("acme", scopes=["order:read"])
    fine = {"X-API-Key": made.api_key}
    assert (await world.client.post(GET, json=ASKED, headers=fine)).status_code == 404
    for key in (made.api_key + "x", made.client_secret, "\xff", "a.b.c"):
        wrong = {b"X-API-Key": key.encode("latin-1")}
        assert (await world.client.post(GET, json=ASKED, headers=wrong)).status_code == 401
    async with world.pool.acquire() as connection:
        assert await credentials.revoke(connection, made.client_id)
        assert not await credentials.revoke(connection, made.client_id)
    assert (await world.client.post(GET, json=ASKED, headers=fine)).status_code == 401


async def test_one_credential_is_presented_in_any_of_three_ways(world: World) -> None:
    await world.tenant("acme", "ACME Fuels")
    made = await world.credential("acme", scopes=["order:read"])
    form = {
        "grant_type": "client_credentials",
        "client_id": made.client_id,
        "client_secret": made.client_secret,
    }
    granted = await world.client.post("/auth/token", data=form)
    assert granted.status_code == 200
    assert granted.json()["token_type"] == "bearer"
    assert granted.json()["expires_in"] > 0
    for headers in (
        {"X-API-Key": made.api_key},
        {"Authorization": f"Bearer {made.api_key}"},
        {"Authorization": f"Bearer {granted.json()['access_token']}"},
    ):
        assert (await world.client.post(GET, json=ASKED, headers=headers)).status_code == 404


async def test_a_token_is_given_for_every_way_to_say_id_and_secret(world: World) -> None:
    await world.tenant("acme", "ACME Fuels")
    made = await world.credential("acme", scopes=["order:read"])
    post = world.client.post
    basic = (made.client_id, made.client_secret)
    cc = {"grant_type": "client_credentials"}
    assert (await post("/auth/token", data=cc, auth=basic)).status_code == 200
    password = {"grant_type": "password", "username": basic[0], "password": basic[1]}
    assert (await post("/auth/token", data=password)).status_code == 200
    wrong = await post("/auth/token", data=cc, auth=(basic[0], "wrong"))
    assert (wrong.status_code, "www-authenticate" in wrong.headers) == (401, True)
    unknown = await post("/auth/token", data=cc, auth=("nobody", "wrong"))
    assert (unknown.status_code, unknown.content) == (401, wrong.content)
    bare = await post("/auth/token", data={"grant_type": "magic"})
    assert bare.status_code == 422
    assert [error["loc"] for error in bare.json()["detail"]] == [
        ["body", "grant_type"],
        ["body", "client_id"],
        ["body", "client_secret"],
    ]


async def test_a_revoked_credential_ends_its_tokens(world: World) -> None:
    await world.tenant("acme", "ACME Fuels")
    made = await world.credential("acme", scopes=["order:read"])
    granted = await world.client.post(
        "/auth/token",
        data={"grant_type": "client_credentials"},
        auth=(made.client_id, made.client_secret),
    )
    headers = {"Authorization": f"Bearer {granted.json()['access_token']}"}
    async with world.pool.acquire() as connection:
        await credentials.revoke(connection, made.client_id)
    assert (await world.client.post(GET, json=ASKED, headers=headers)).status_code == 401


async def test_a_missing_scope_is_403_and_named(world: World) -> None:
    key = await world.key("acme", scopes=["order:read"])
    response = await world.create(key)
    assert response.status_code == 403
    assert response.json() == {"detail": "The credential does not have the scope order:create."}
    assert world.broker.sent == []


async def test_somebody_elses_tenant_and_an_unknown_one_are_the_same_403(world: World) -> None:
    await world.tenant("blue", "Blue Haulage")
    key = await world.key("acme")
    answers = [
        await world.create(key, X_Tenant_Name=name) for name in ("blue", "Blue Haulage", "none")
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1


async def test_a_tenant_is_named_by_slug_or_exact_name(world: World) -> None:
    key = await world.key("acme")
    world.broker.body = BODY
    for name in ("acme", "Name of acme"):
        assert (await world.create(key, X_Tenant_Name=name)).status_code == 200
    assert (await world.create(key, X_Tenant_Name="name of acme")).status_code == 403


async def test_with_several_tenants_a_command_must_name_one_and_a_read_searches_all(
    world: World,
) -> None:
    await world.tenant("acme", "ACME Fuels")
    await world.tenant("blue", "Blue Haulage")
    made = await world.credential("acme", "blue", scopes=["order:create", "order:read"])
    response = await world.create(made.api_key, {"drops": []}, partner=None)
    assert response.status_code == 422
    locs = [error["loc"] for error in response.json()["detail"]]
    assert locs[:2] == [["header", "x-tenant-name"], ["header", "x-dest-tenant-name"]]
    assert ["body", "drops"] in locs
    found = await world.client.post(GET, json=ASKED, headers={"X-API-Key": made.api_key})
    assert found.status_code == 404


async def test_the_rate_limit_counts_each_credential(fresh_database: str) -> None:
    """K29, K31: a 429 has its sentence alone, and says when to come again; it makes no command."""
    async with gateway(fresh_database, rate_limit="2/minute") as world:
        first, second = await world.key("acme"), await world.key("blue")
        answers = [
            await world.client.post(GET, json=ASKED, headers={"X-API-Key": first}) for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [404, 404, 429]
        seconds = answers[2].headers["retry-after"]
        assert int(seconds) >= 1
        said = f"Too many requests: the rate limit of this credential is used up for {seconds} s."
        assert answers[2].json() == {"detail": said}
        assert (await world.create(first)).status_code == 429
        assert world.broker.sent == []
        other = await world.client.post(GET, json=ASKED, headers={"X-API-Key": second})
        assert other.status_code == 404


async def test_a_database_that_is_away_is_503_with_retry_after(world: World) -> None:
    key = await world.key("acme")
    await world.pool.close()
    response = await world.client.post(GET, json=ASKED, headers={"X-API-Key": key})
    assert (response.status_code, "retry-after" in response.headers) == (503, True)
