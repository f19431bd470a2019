"""A service with a nano model, its application without the page."""

import pytest

pytest.importorskip("fastapi_offline", reason="needs the extra serve")
pytest.importorskip("gradio", reason="needs the extra serve")

from live_service import LiveService
from starlette.testclient import TestClient

from lung_srad_plugin.serving.app import create_app
from lung_srad_plugin.serving.limits import ServingLimits
from lung_srad_plugin.serving.service import ClassificationService


@pytest.fixture
def serve(classifier, tmp_path):
    """Return a client of a service with these limits, and the folder of its uploads."""
    services = []

    def make(hosts=("*",), page=False, **limits):
        services.append(ClassificationService(classifier, ServingLimits(**limits)))
        folder = tmp_path / f"service {len(services)}"
        folder.mkdir()
        client = TestClient(create_app(services[-1], folder, hosts, page), raise_server_exceptions=False)
        client.service, client.folder = services[-1], folder
        return client

    yield make
    for service in services:
        service.close()


@pytest.fixture
def client(serve):
    """A client of a service with the usual limits."""
    return serve()


@pytest.fixture(scope="module")
def live(classifier, tmp_path_factory):
    """A running service with uploads of at most 0.5 MB."""
    with LiveService(classifier, tmp_path_factory.mktemp("live"), megabytes=0.5).running() as service:
        yield service
