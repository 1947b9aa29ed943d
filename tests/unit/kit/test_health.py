import httpx
from starlette.applications import Starlette

from services.kit.health import Health, health_routes


def client(health: Health) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=Starlette(routes=health_routes(health)))
    return httpx.AsyncClient(transport=transport, base_url="http://service")


async def test_ready_when_every_check_is_fine() -> None:
    async with client(Health({"stream": lambda: (True, "reading")})) as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "checks": {"stream": "reading"}}


async def test_one_failing_check_answers_503_and_says_why() -> None:
    health = Health({"a": lambda: (True, "fine"), "b": lambda: (False, "the database is away")})
    async with client(health) as http:
        answer = await http.get("/readyz")
        alive = await http.get("/livez")
    assert answer.status_code == 503
    assert answer.json()["checks"]["b"] == "the database is away"
    assert alive.status_code == 200


async def test_a_draining_process_is_alive_and_not_ready() -> None:
    health = Health()
    health.drain()
    async with client(health) as http:
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/livez")).status_code == 200


async def test_metrics_are_answered_without_a_redirect() -> None:
    async with client(Health()) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert "crossroads_consumer_lag_records" in answer.text
