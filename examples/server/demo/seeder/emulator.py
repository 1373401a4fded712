"""moto, set up to play the demo account's AWS: in this process, on loopback, alike on every run.

Importing this module prepares the environment that moto and boto3 read while they are imported, so
import it before either of them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from threading import Thread
from typing import Any

# moto's own images and their snapshots would drown the account, and change with its version.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
# Nobody's profile, credentials or proxy has a say here.
os.environ["AWS_CONFIG_FILE"] = os.devnull
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
for _name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE", "MOTO_AMIS_PATH"):
    os.environ.pop(_name, None)

import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402
from moto.core.responses import ActionResult  # noqa: E402
from moto.ec2.models import ec2_backends  # noqa: E402
from moto.ec2.models.availability_zones_and_regions import (  # noqa: E402
    Region,
    RegionsAndZonesBackend,
)
from moto.ec2.responses.amis import AmisResponse  # noqa: E402
from moto.ec2.responses.elastic_block_store import ElasticBlockStore  # noqa: E402
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces  # noqa: E402
from moto.ec2.responses.instances import InstanceResponse  # noqa: E402
from moto.moto_api._internal import mock_random  # noqa: E402
from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server  # noqa: E402

from .truth import ACCOUNT  # noqa: E402

ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

# What DescribeRegions answers. moto knows every region of every partition and ignores AllRegions;
# one account sees one partition, and this one has a few regions it never opted in to.
REGIONS = {
    "us-east-1": "opt-in-not-required",
    "eu-west-1": "opt-in-not-required",
    "sa-east-1": "opt-in-not-required",
    "me-central-1": "not-opted-in",
    "ap-east-1": "not-opted-in",
}


def reseed(*parts: str) -> None:
    """Ties the next ids that moto draws to what is being made, not to what was made before it.

    So a plant that is added or removed leaves the ids of all others as they were.
    """
    mock_random.seed("/".join(("trueno-demo", *parts)))


def backend(region: str) -> Any:
    """moto's state of EC2 in one region, for what no AWS operation lets a customer set."""
    return ec2_backends[ACCOUNT][region]


class Emulator:
    """One AWS on a loopback port. Use it as a context manager."""

    def __init__(self, port: int = 0, page_size: int | None = None) -> None:
        """Port 0 takes a free one; page_size caps pages, as AWS may, whatever a caller asks for."""
        RegionsAndZonesBackend.regions[:] = [
            Region(name, f"ec2.{name}.amazonaws.com", status) for name, status in REGIONS.items()
        ]
        _page_like_aws(page_size)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        # make_server binds here, in the caller's thread, and exits with a message if it cannot.
        self._server = make_server(
            "127.0.0.1",
            port,
            DomainDispatcherApplication(create_backend_app),
            threaded=True,
            request_handler=MotoRequestHandler,
        )
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Emulator:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def client(self, service: str, region: str) -> Any:
        """An ordinary boto3 client with the account's own keys."""
        return client(self.endpoint, service, region)


def client(endpoint: str, service: str, region: str, **credentials: str) -> Any:
    """A boto3 client of any emulator; the credentials default to the account's own keys."""
    keys = credentials or {
        "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY,
    }
    # A repeated request would plant twice, so a failed one is not sent again.
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(service, region, endpoint_url=endpoint, config=config, **keys)


# Of these four operations moto 5.2.5 ignores MaxResults and NextToken; DescribeInstances pages by
# itself, by reservation, with the last one's id as token.
_UNPAGED: tuple[tuple[type, str, str], ...] = (
    (ElasticBlockStore, "describe_volumes", "Volumes"),
    (ElasticBlockStore, "describe_snapshots", "Snapshots"),
    (AmisResponse, "describe_images", "Images"),
    (ElasticNetworkInterfaces, "describe_network_interfaces", "NetworkInterfaces"),
)
_originals: dict[tuple[type, str], Callable[[Any], ActionResult]] = {}


def _page_like_aws(cap: int | None) -> None:
    """Teaches moto to page like AWS: by MaxResults, and never more than `cap` items at once."""
    for owner, method, key in _UNPAGED:
        _wrap(owner, method, _paging(key, cap))
    _wrap(InstanceResponse, "describe_instances", _capping(cap))


def _wrap(
    owner: type, method: str, make: Callable[[Callable[[Any], ActionResult]], Callable[[Any], Any]]
) -> None:
    original = _originals.setdefault((owner, method), getattr(owner, method))
    setattr(owner, method, make(original))


def _paging(key: str, cap: int | None) -> Callable[[Callable[[Any], ActionResult]], Any]:
    def make(original: Callable[[Any], ActionResult]) -> Callable[[Any], ActionResult]:
        def describe(self: Any) -> ActionResult:
            result: Any = original(self).result
            items, limits = result[key], [n for n in (_max_results(self), cap) if n]
            token = self._get_param("NextToken")
            start = [item.id for item in items].index(token) + 1 if token else 0
            end = start + min(limits, default=len(items))
            more = items[end - 1].id if end < len(items) else None
            return ActionResult({key: items[start:end], "NextToken": more})

        return describe

    return make


def _capping(cap: int | None) -> Callable[[Callable[[Any], ActionResult]], Any]:
    def make(original: Callable[[Any], ActionResult]) -> Callable[[Any], ActionResult]:
        def describe(self: Any) -> ActionResult:
            result: Any = original(self).result
            reservations = result["Reservations"]
            if cap and len(reservations) > cap:
                page = reservations[:cap]
                return ActionResult({"Reservations": page, "NextToken": page[-1].id})
            return ActionResult(result)

        return describe

    return make


def _max_results(response: Any) -> int | None:
    value = response._get_param("MaxResults")
    return int(value) if value else None
