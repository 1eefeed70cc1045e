"""The recipes of docs/cluster.md and deploy/: commands, nodes and files are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker

from k150k_pipeline import pipeline_registry
from k150k_pipeline.command import check_runner
from tests.conftest import CHECKOUT

DOCUMENT = (CHECKOUT / "docs/cluster.md").read_text("utf-8")
DOCKERFILE = (CHECKOUT / "deploy/Dockerfile").read_text("utf-8")
IGNORED = (CHECKOUT / "deploy/Dockerfile.dockerignore").read_text("utf-8").split()
MANIFEST = list(yaml.safe_load_all((CHECKOUT / "deploy/kubernetes.yml").read_text("utf-8")))
DASK: dict[str, click.Command] = {
    "scheduler": dask_scheduler.main,
    "worker": dask_worker.main,
}
COMMANDS = re.findall(r"dask (scheduler|worker) ([^'`&\n]+)", DOCUMENT.replace("\n", " "))


@pytest.mark.parametrize(("program", "options"), COMMANDS)
def test_commands_of_dask_have_the_options_that_the_recipes_give(program, options):
    DASK[program].make_context(program, shlex.split(options))


def test_options_after_a_colon_are_those_of_a_worker():
    (ports,) = re.findall(r"ports of their own: `([^`]+)`", DOCUMENT)
    dask_worker.main.make_context("worker", ["tcp://10.0.0.1:8786", *shlex.split(ports)])


def test_nodes_of_the_recipes_exist():
    nodes = {
        n.name for steps in pipeline_registry.register_pipelines().values() for n in steps.nodes
    }
    named = set(re.findall(r"(?:extract|fr_from_nr)\.[a-z]+(?:\.[a-z_0-9%]+)?", DOCUMENT))
    named = {name.replace("%04d", "0000") for name in named}
    assert len(named & nodes) == 6, named


@pytest.mark.parametrize("text", [DOCUMENT, *map(str, MANIFEST)])
def test_parameters_of_the_runner_exist(text):
    for given in re.findall(r"--runner-params=([^\s`']+)", text):
        parameters = dict(part.split("=", 1) for part in given.split(","))
        runner = "k150k_pipeline.runners.DaskRunner"
        check_runner({"runner": runner, "runner_params": parameters})


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in MANIFEST:
        pod = document["spec"].get("template", {}).get("spec", {})
        for container in pod.get("containers", ()):
            volumes = {volume["name"] for volume in pod.get("volumes", ())}
            assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes
            yield document["metadata"]["name"], container


def test_containers_of_the_manifest_run_commands_that_exist():
    found = dict(containers())
    assert set(found) == {"k150k-scheduler", "k150k-worker", "k150k-extract"}
    assert {container["image"] for container in found.values()} == {"k150k-pipeline"}
    for program in DASK:
        module, *options = found[f"k150k-{program}"]["args"]
        assert module == f"distributed.cli.dask_{program}"
        DASK[program].make_context(program, [o.replace("$(CORES)", "8") for o in options])
    assert found["k150k-extract"]["args"][:3] == ["k150k_pipeline", "run", "--pipelines=extract"]


def test_pods_of_the_manifest_are_selected_and_reach_each_other():
    ports, labels = {}, []
    for document in MANIFEST:
        if template := document["spec"].get("template"):
            labels.append(template["metadata"]["labels"])
            chosen = document["spec"].get("selector", {}).get("matchLabels", {})
            assert chosen.items() <= labels[-1].items()
        if document["kind"] == "Service":
            ports[document["metadata"]["name"]] = document["spec"]["ports"][0]["port"]
            service = document["spec"]["selector"]
    assert ports == {"k150k-scheduler": 8786} and service in [
        {"app": each["app"]} for each in labels
    ]
    assert all(each["part-of"] == "k150k" for each in labels)
    claims = {d["metadata"]["name"] for d in MANIFEST if d["kind"] == "PersistentVolumeClaim"}
    assert set(re.findall(r"claimName': '([^']+)'", str(MANIFEST))) == claims


def test_image_is_built_from_files_that_are_there_and_not_ignored():
    kept = {line.removeprefix("!") for line in IGNORED if line.startswith("!")}
    assert all((CHECKOUT / name).exists() for name in kept)
    assert {"src", "core", "conf", "pyproject.toml", "requirements.lock"} <= kept
    assert "[cluster,store]" in DOCKERFILE and "\nUSER 1000\n" in DOCKERFILE
    pattern = re.search(r"sed -n 's/(.+)/\\1/p' requirements.lock", DOCKERFILE)
    assert pattern is not None
    lines = (CHECKOUT / "requirements.lock").read_text("utf-8").splitlines()
    wanted = re.compile(pattern[1].replace(r"\(", "(").replace(r"\)", ")"))
    locked = {match[1] for line in lines if (match := wanted.match(line))}
    assert {name.partition("==")[0] for name in locked} >= {"kedro", "distributed", "s3fs", "numpy"}
    assert not any(" " in line or "\\" in line for line in locked)
