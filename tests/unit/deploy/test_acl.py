"""The files of rights cover what the code reads and writes, and the scripts say to Kafka and Redis what stands in them."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from streamrec.events.topics import DEAD_LETTERS, TOPICS
from streamrec.experiments import reading as experiments
from streamrec.roles import ROLES
from workers.groups import AVAILABILITY, GROUPS, LISTINGS

ACL = Path(__file__).parents[3] / "deploy" / "acl"
FUNCTIONS = Path(__file__).parents[3] / "streamrec" / "lists" / "functions.lua"


def _rights() -> list[list[str]]:
    lines = (ACL / "kafka.acl").read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def _may(role: str, resource: str, name: str, operation: str) -> bool:
    return any(
        (right, kind) == (role, resource)
        and operation in operations.split(",")
        and (name == named or (named.endswith("*") and name.startswith(named[:-1])))
        for right, kind, named, operations in _rights()
    )


def test_every_role_may_read_what_its_groups_read_and_bury_what_is_bad() -> None:
    for group, topics in GROUPS.items():
        role = AVAILABILITY if group == LISTINGS else group
        assert _may(role, "group", f"streamrec.{group}", "Read")
        assert all(_may(role, "topic", topic, "Read") for topic in topics)
        assert _may(role, "topic", DEAD_LETTERS, "Write")


def test_the_operator_may_create_and_look_at_every_topic_and_nobody_else_may_create() -> None:
    for topic in TOPICS:
        assert _may("operator", "topic", topic, "Create")
        assert _may("operator", "topic", topic, "Read")
    assert {role for role, *_, operations in _rights() if "Create" in operations} == {"operator"}


def test_an_analyst_may_read_what_a_report_reads_and_nothing_else() -> None:
    assert all(_may("analyst", "topic", topic, "Read") for topic in experiments.TOPICS)
    mine = [right for right in _rights() if right[0] == "analyst"]
    assert len(mine) == len(experiments.TOPICS) + 1
    assert {operations for *_, operations in mine} == {"Read", "Describe"}


def test_no_pattern_reaches_beyond_our_names() -> None:
    for _, resource, name, _ in _rights():
        assert name.rstrip("*")
        if resource == "topic":
            assert any(topic == name or (name.endswith("*") and topic.startswith(name[:-1])) for topic in TOPICS), name


def test_the_script_gives_kafka_each_right_once(tmp_path: Path) -> None:
    recorder, record = tmp_path / "kafka-acls.sh", tmp_path / "record"
    recorder.write_text(f'#!/bin/sh\necho "$@" >> {record}\n', encoding="utf-8")
    recorder.chmod(0o755)
    command = [str(ACL / "apply-kafka.sh"), "--user-prefix", "shop-", "--group-prefix", "shop", "--", "--bootstrap-server", "b:1"]
    subprocess.run(command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    said = record.read_text(encoding="utf-8").splitlines()
    assert len(said) == len(_rights())
    assert all(line.startswith("--bootstrap-server b:1 --add --allow-principal User:shop-") for line in said)
    for part in (
        "User:shop-aggregator --topic item-neighbours --operation Read --operation Write",
        "User:shop-tracker --topic events. --resource-pattern-type prefixed --operation Write",
        "User:shop-recommender --group shop.recommender --resource-pattern-type prefixed --operation Read",
    ):
        assert sum(line.endswith(part) for line in said) == 1, part


def test_the_users_file_holds_hashes_and_leaves_out_who_has_no_password(tmp_path: Path) -> None:
    (tmp_path / "streamrec-embedder").write_text("hunter2\n", encoding="utf-8")
    printed = subprocess.run([ACL / "redis-users.sh", tmp_path], capture_output=True, text=True, check=True)
    off, embedder = printed.stdout.splitlines()
    assert off == "user default off"
    assert embedder.startswith(f"user streamrec-embedder on #{hashlib.sha256(b'hunter2').hexdigest()} -@all ")
    assert "streamrec-recommender" in printed.stderr


def _users() -> dict[str, list[str]]:
    """Return each Redis user's rules."""
    return {line.split()[1]: line.split()[2:] for line in (ACL / "redis.acl").read_text(encoding="utf-8").splitlines()}


def test_what_functions_call_somebody_may_call_who_writes() -> None:
    """A function runs with the rights of who calls it: one command too few, and every list stays as it was."""
    users = _users()
    called = {name.lower() for name in re.findall(r"redis\.call\('([A-Z]+)'", FUNCTIONS.read_text(encoding="utf-8"))}
    assert {"setrange", "smismember", "hset"} <= called
    may = {rule[1:] for role in ("availability", "recommender") for rule in users[f"streamrec-{role}"] if rule.startswith("+")}
    assert called - may == set()


def test_each_role_and_the_storefront_have_a_user_in_redis_and_the_storefront_only_reads() -> None:
    users = _users()
    assert users.keys() == {f"streamrec-{name}" for name in (*ROLES, "storefront", "operator")}
    assert all(rules[:2] == ["on", "-@all"] for rules in users.values())
    assert all(rule.startswith("%R~") for rule in users["streamrec-storefront"] if "~" in rule)
