"""Every path of the gateway: the operations, their documentation, and nothing from elsewhere."""

from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from schemas.documents import DOCUMENTS
from schemas.generate import FOLDER
from schemas.operations import operation
from services.gateway import (
    auth,
    changes,
    commands,
    examples,
    examples_of_changes,
    examples_of_progress,
    examples_of_settling,
    orders,
    pictures,
    progress,
    reference,
)
from services.gateway.commands import CommandRoute
from services.gateway.edge import Edge
from services.gateway.hub import Hub
from services.gateway.openapi import describe
from services.kit.health import Health, health_routes

_ASSETS = "/docs/assets"
_SCHEMAS = "/schemas"


def application(hub: Hub, health: Health) -> FastAPI:
    """The application with all its routes; `hub` is found at `app.state.hub`."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.hub = hub
    app.add_middleware(Edge)
    _order_routes(app)
    _settling_routes(app)
    _progress_routes(app)
    _change_routes(app)
    _reference_routes(app)
    _document_routes(app)
    app.router.routes.extend(health_routes(health))
    return app


def _order_routes(app: FastAPI) -> None:
    _command(app, orders.create_route(), examples.order_create())
    get = operation("order.get")
    _post(app, get.path, orders.get, "order.get", examples.order_get())
    _get(app, "order.timeline", orders.timeline, examples.order_timeline())
    _post(app, "/auth/token", auth.token, "auth.token", examples.token())


def _settling_routes(app: FastAPI) -> None:
    _command(app, progress.route("order.cancel"), examples_of_settling.cancel())
    _command(app, progress.route("order.request-accept"), examples_of_settling.request_accept())
    _command(app, progress.route("order.request-reject"), examples_of_settling.request_reject())
    _command(app, progress.route("order.receipt"), examples_of_settling.receipt())


def _progress_routes(app: FastAPI) -> None:
    _command(app, progress.route("order.update-status"), examples_of_progress.update_status())
    _command(app, progress.route("order.save-bol"), examples_of_progress.save_bol())
    _command(app, progress.route("order.save-drop"), examples_of_progress.save_drop())
    image, blob = pictures.ROUTE.operation, operation("blob.save")
    described = examples_of_progress.save_bol_image()
    _post(app, image.path, pictures.save_bol_image, image.name, described)
    _post(app, blob.path, pictures.save, blob.name, examples_of_progress.blob_save())
    _get(app, "blob.get", pictures.fetch, examples_of_progress.blob_get())


def _change_routes(app: FastAPI) -> None:
    _command(app, progress.route("order.update"), examples_of_changes.update())
    _command(app, progress.route("change.propose"), examples_of_changes.propose())
    _command(app, changes.settling_route("change.accept"), examples_of_changes.accept())
    _command(app, changes.settling_route("change.reject"), examples_of_changes.reject())
    listing = operation("change.all")
    described = examples_of_changes.all_changes()
    _post(app, listing.path, changes.all_changes, listing.name, described)


def _reference_routes(app: FastAPI) -> None:
    for route in reference.ROUTES:
        upserted = operation(route.upsert)
        described = examples.reference_post(
            route.name, f"{upserted.name}.v1", route.example, upserted.scope
        )
        endpoint = _with(reference.upsert, route)
        _post(app, upserted.path, endpoint, upserted.name, described)
        app.add_api_route(
            upserted.path,
            _with(reference.listed, route),
            methods=["GET"],
            response_class=Response,
            operation_id=f"reference.{route.name}",
            tags=["reference"],
            openapi_extra=examples.reference_list(route.name, route.filters),
        )


def _document_routes(app: FastAPI) -> None:
    described: list[dict[str, Any]] = []

    async def openapi(_: Request) -> Response:
        # Made at the first request: workers and tests that never ask do not pay for it.
        if not described:
            described.append(describe(app))
        return JSONResponse(described[0])

    async def schemas(_: Request) -> Response:
        listed = [
            {
                "name": each.name,
                "direction": each.direction,
                "path": f"{_SCHEMAS}/{each.name}.json",
            }
            for each in DOCUMENTS
        ]
        return JSONResponse({"schemas": listed})

    async def docs(_: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Crossroads",
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon-32x32.png",
        )

    async def console(_: Request) -> Response:
        return RedirectResponse("/docs", 307)

    app.add_route("/openapi.json", openapi, methods=["GET"])
    app.add_route("/docs", docs, methods=["GET"])
    app.add_route("/console", console, methods=["GET"])
    app.add_route(_SCHEMAS, schemas, methods=["GET"])
    app.mount(_SCHEMAS, StaticFiles(directory=FOLDER))
    app.mount(_ASSETS, StaticFiles(directory=swagger_ui_path))


def _post(app: FastAPI, path: str, endpoint: Any, name: str, described: dict[str, Any]) -> None:
    app.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        response_class=Response,
        operation_id=name,
        tags=[name.partition(".")[0]],
        openapi_extra=described,
    )


def _get(app: FastAPI, name: str, endpoint: Any, described: dict[str, Any]) -> None:
    app.add_api_route(
        operation(name).path,
        endpoint,
        methods=["GET"],
        response_class=Response,
        operation_id=name,
        tags=[name.partition(".")[0]],
        openapi_extra=described,
    )


def _command(app: FastAPI, route: CommandRoute, described: dict[str, Any]) -> None:
    async def endpoint(request: Request) -> Response:
        return await commands.take(request, route)

    _post(app, route.operation.path, endpoint, route.operation.name, described)


def _with(handler: Any, route: reference.ReferenceRoute) -> Any:
    async def endpoint(request: Request) -> Response:
        response: Response = await partial(handler, route=route)(request)
        return response

    endpoint.__name__ = f"{handler.__name__}_{route.name}"
    return endpoint
