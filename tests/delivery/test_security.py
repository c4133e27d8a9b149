"""Everybody has a name, a password and the rights of deploy/acl, on encrypted connections; and no secret comes to light."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import redis

from streamrec.client import Storefront
from streamrec.errors import BrokerUnavailable, StoreUnavailable
from streamrec.events.topics import CAMPAIGNS, CATALOG, CLICKS, IMPRESSIONS, STOCK
from streamrec.experiments.reading import TOPICS
from streamrec.lists import keys
from streamrec.lists.connection import connect
from streamrec.roles import ROLES
from tests.delivery.locked_shop import LockedShop
from tests.integration.shop import await_until, now_ms
from workers.transport.admin import partitions

pytestmark = [pytest.mark.integration, pytest.mark.kafka]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockedShop]:
    """Run Kafka, Redis and a worker of each role, all at DEBUG, librdkafka too; what they log holds no secret to the very end."""
    with LockedShop(tmp_path_factory.mktemp("locked")) as running:
        created = running.cli("topics", "create", "--json")
        assert created.returncode == 0, created.stderr
        for role in ROLES:
            running.worker(role, STREAMREC_KAFKA__EXTRA='{"debug": "conf,security,broker"}')
        await_until(running.ready, "all workers are ready")
        yield running
    assert running.leaks() == []


def test_each_role_does_its_work_with_the_rights_of_its_role_alone(shop: LockedShop) -> None:
    """Item to vector to list, a campaign, sold out, and poison to the dead letters; the storefront reads; Redis refused no role."""
    ts = now_ms()
    shop.publish("merchant", [(CATALOG, f"cup-{n}", {"title": f"Cup {n}", "category": "cups", "ts": ts}) for n in range(6)])
    await_until(lambda: shop.beats()["recommender"].get("vectors", 0) >= 6, "six vectors")
    shop.publish("tracker", [(CLICKS, user, {"item_id": f"cup-{n}", "ts": ts}) for user in ("ann", "bob") for n in (0, 1)])
    with connect(shop.settings("storefront").redis) as client:
        pages = Storefront(client)
        await_until(lambda: pages.top("ann").source == "list" and "cup-3" in pages.top("ann").ids(), "ann's list")
        pin = {"action": "pin", "targets": {"items": ["cup-5"]}, "slots": [1], "starts_at": ts, "ends_at": ts + 10**8, "ts": ts}
        shop.publish("campaigns", [(CAMPAIGNS, "spring", pin)])
        await_until(lambda: pages.top("ann").ids()[:1] == ["cup-5"], "the campaign's item comes first")
        shop.publish("merchant", [(STOCK, "cup-3", {"quantity": 0, "ts": now_ms()}), (STOCK, "cup-4", {"quantity": -1, "ts": ts})])
        await_until(lambda: "cup-3" not in pages.top("ann").ids(), "sold out is gone for readers")
        await_until(lambda: b'"cup-3"' not in (shop.redis.get(keys.rec("ann")) or b""), "and out of the list itself")
        await_until(lambda: pages.together("cup-0").ids(), "who met what beside what")
        assert pages.similar("cup-0").ids()
        plain = Storefront(client, cluster=True)
        assert plain.top("ann").ids() == pages.top("ann").ids()
        for forbidden in (client.flushall, lambda: client.set(keys.rec("ann"), "x"), lambda: client.delete(keys.SOLDOUT)):
            with pytest.raises(redis.exceptions.NoPermissionError):
                forbidden()
    # A wrong password is another test's; what redis-py tells of itself may be refused, and Redis 7.0 does not know the command.
    told: list[dict[str, Any]] = shop.redis.acl_log()
    refused = [
        entry
        for entry in told
        if "storefront" not in entry["username"] and entry["reason"] != "auth" and entry["object"] != "client|setinfo"
    ]
    assert refused == []
    for role in ROLES:
        assert "authorization failed" not in (shop.logs / f"{role}.log").read_text(encoding="utf-8").lower(), role


def test_the_operators_command_line_works(shop: LockedShop) -> None:
    assert shop.cli("publish", "item", "pot", "--title", "A pot").returncode == 0
    shop.publish("merchant", [(STOCK, "bad", {"quantity": -1, "ts": now_ms()})])
    await_until(lambda: shop.redis.exists(keys.item("pot")), "the pot's facts")
    examined = shop.cli("doctor", "--json")
    assert examined.returncode == 0, examined.stdout
    assert shop.cli("top", "nobody", "--json").returncode == 0
    for verb in (("forget", "nobody"), ("rebuild", "--json")):
        done = shop.cli(*verb)
        assert done.returncode == 0, done.stderr
    assert "quantity" in shop.cli("dlq", "list").stdout


def test_an_analyst_reports_on_an_experiment_and_reads_nothing_else(shop: LockedShop) -> None:
    variants = '[{"name": "a"}, {"name": "b"}]'
    experiment = {"STREAMREC_EXPERIMENT__NAME": "tea", "STREAMREC_EXPERIMENT__VARIANTS": variants}
    ts = now_ms()
    told = shop.cli("experiment", "assign", "eve", "joe", role="analyst", **experiment).stdout.splitlines()
    shown = [(IMPRESSIONS, user, {"item_ids": ["pot"], "ts": ts, "variant": name}) for user, name in map(str.split, told)]
    shop.publish("tracker", [*shown, (CLICKS, "eve", {"item_id": "pot", "ts": ts + 1})])
    for role in ("analyst", "operator"):
        done = shop.cli("experiment", "report", "--since", str(ts), "--until", "+1m", "--json", role=role, **experiment)
        assert done.returncode == 0, done.stderr
        assert sum(variant["clicked"] for variant in json.loads(done.stdout)["variants"]) == 1
    assert partitions(shop.settings("analyst").kafka).keys() == set(TOPICS)


def test_who_is_refused_is_told_what_to_mend(shop: LockedShop) -> None:
    """A wrong password, an authority that signed nothing, a missing right: workers end, `doctor` is red, both say what to do."""
    wrong = {"STREAMREC_KAFKA__SASL_PASSWORD": shop.secret("wrong")}
    stranger = {"STREAMREC_KAFKA__SSL_CA_LOCATION": str(shop.certificates.stranger)}
    as_tracker = {
        "STREAMREC_KAFKA__SASL_USERNAME": "streamrec-tracker",
        "STREAMREC_KAFKA__SASL_PASSWORD": shop.secret("kafka-tracker"),
    }
    nobody = {
        "STREAMREC_REDIS__PASSWORD": shop.secret("wrong"),
        "STREAMREC_REDIS__SSL_CA_LOCATION": str(shop.certificates.authority),
    }
    cases = [
        (("worker", "--roles", "embedder"), "embedder", wrong, "STREAMREC_KAFKA__SASL_PASSWORD"),
        (("worker", "--roles", "availability"), "availability", stranger, "STREAMREC_KAFKA__SSL_CA_LOCATION"),
        (("worker", "--roles", "embedder"), "embedder", as_tracker, "the rights of its role (deploy/acl/kafka.acl)"),
        (("doctor",), "operator", wrong | nobody, "STREAMREC_KAFKA__SASL_PASSWORD"),
        (
            ("doctor",),
            "operator",
            stranger | {"STREAMREC_REDIS__SSL_CA_LOCATION": str(shop.certificates.stranger)},
            "SSL_CA_LOCATION",
        ),
        (("publish", "stock", "cup-1", "3"), "tracker", {}, "deploy/acl/kafka.acl"),
        (("forget", "ann"), "storefront", {}, "deploy/acl/redis.acl"),
    ]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda case: shop.cli(*case[0], role=case[1], **case[2]), cases))
    for (verb, role, _, advice), ended in zip(cases, done, strict=True):
        assert ended.returncode not in {0, None}, (verb, role)
        assert advice in ended.stdout + ended.stderr, (verb, role, ended.stdout[-3000:], ended.stderr[-3000:])
    assert "STREAMREC_REDIS__PASSWORD" in done[3].stdout
    assert "STREAMREC_REDIS__SSL_CA_LOCATION" in done[4].stdout


def test_no_secret_is_shown_anywhere(shop: LockedShop) -> None:
    urls = [beat["url"] for beat in shop.beats().values()]
    metrics = [urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode() for url in urls]
    printed = [shop.cli(*verb).stdout for verb in (("doctor", "--json"), ("config", "--json"), ("config",))]
    assert all(printed)
    assert len(metrics) == len(ROLES)
    shown = [repr(shop.settings(role)) + str(shop.settings(role).model_dump()) for role in (*ROLES, "operator")]
    assert shop.leaks(*metrics, *printed, *shown) == []
    debug = (shop.logs / "availability.log").read_text(encoding="utf-8")
    assert "sasl.password = [redacted]" in debug  # librdkafka did speak
    assert shop.leaks(shop.secret("key")) == ["key in text 0"]  # and the search finds what is there


def _token(claims: dict[str, object]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@contextmanager
def identity_provider(client_secret: str) -> Iterator[str]:
    """Run a token endpoint that gives whoever knows the secret an unsigned token of the operator; yield its URL."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            login = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            right = login == f"shop:{client_secret}" and "scope=kafka" in asked
            now = int(time.time())
            token = _token({"sub": "streamrec-operator", "iat": now - 5, "exp": now + 300, "scope": "kafka"})
            body = json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 300}).encode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
        thread.join()


def test_a_token_of_an_identity_provider_logs_in(shop: LockedShop) -> None:
    secret = shop.secret("client")
    with identity_provider(secret) as url:
        given = {
            "STREAMREC_KAFKA__SASL_MECHANISM": "OAUTHBEARER",
            "STREAMREC_KAFKA__SASL_USERNAME": "",
            "STREAMREC_KAFKA__OAUTH_CLIENT_ID": "shop",
            "STREAMREC_KAFKA__OAUTH_TOKEN_URL": url,
            "STREAMREC_KAFKA__OAUTH_SCOPE": "kafka",
        }
        settings = shop.settings("operator", STREAMREC_KAFKA__OAUTH_CLIENT_SECRET=secret, **given)
        assert partitions(settings.kafka)[CLICKS] > 0
        wrong = shop.settings("operator", STREAMREC_KAFKA__OAUTH_CLIENT_SECRET=shop.secret("wrong"), **given)
        with pytest.raises(BrokerUnavailable, match=r"STREAMREC_KAFKA__OAUTH_"):
            partitions(wrong.kafka)
    assert shop.leaks(repr(settings)) == []


def test_redis_without_our_certificate_or_over_plain_text_is_refused(shop: LockedShop) -> None:
    bare = shop.settings("operator").redis.model_copy(update={"ssl_certificate_location": "", "ssl_key_location": ""})
    with connect(bare) as client, pytest.raises(StoreUnavailable):
        Storefront(client).top("ann")
