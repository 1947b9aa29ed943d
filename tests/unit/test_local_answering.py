"""Whether a broker serves, and that whoever asks can be cancelled at any moment."""

import asyncio

import pytest

from services.local import answering


async def test_nobody_there_does_not_serve(unused_tcp_port: int) -> None:
    assert not await answering.answers(f"127.0.0.1:{unused_tcp_port}")


async def test_one_that_takes_connections_and_says_nothing_does_not_serve() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert not await answering.answers(f"127.0.0.1:{port}")
        for writer in held:
            writer.close()


async def test_a_cancelling_in_the_moment_of_the_connection_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """Python 3.11's wait_for gives the connection then, and the asking goes on."""

    class Writer:
        def close(self) -> None:
            pass

    async def connected(*_: object) -> tuple[None, Writer]:
        asyncio.get_running_loop().call_soon(asking.cancel)
        return None, Writer()

    monkeypatch.setattr(asyncio, "open_connection", connected)
    asking = asyncio.create_task(answering.answers(f"127.0.0.1:{unused_tcp_port}"))
    with pytest.raises(asyncio.CancelledError):
        await asking
