"""The lab's commands, as a person types them."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from image_registry_lab import addresses, leftovers, needs
from image_registry_lab.cluster import Cluster
from image_registry_lab.legacy.running import supported
from image_registry_lab.network import FIRST_NODE
from image_registry_lab.places import Places, cache
from image_registry_lab.process import clean_environment
from image_registry_lab.programs import programs
from image_registry_lab.report import LabError, Report
from image_registry_lab.stores import STORES

NAMESPACE_OPTIONS = ("--mount", "--net", "--pid", "--uts", "--ipc")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what it says."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    report = Report()
    try:
        cluster = Cluster(Places(cache()), report)
        if given[:1] == ["kubectl"]:  # its options are kubectl's, not ours
            return _kubectl(cluster, given[1:])
        parser = _parser()
        options = parser.parse_args(given)
        return _run(cluster, report, options, parser)
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("lab: interrupted; the same command goes on from here, `lab/lab down` takes it all back\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab/lab",
        description="A real Kubernetes on this machine, from pinned Go modules and Debian packages.",
        epilog="Everything lies in ${XDG_CACHE_HOME:-~/.cache}/image-registry-lab, or where IMAGE_REGISTRY_LAB says.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    building = commands.add_parser("build", help="compile the programs into the cache, once")
    building.add_argument("names", nargs="*", metavar="PROGRAM", help="default: all that a cluster needs")
    up = commands.add_parser("up", help="start the cluster, or add nodes to it")
    up.add_argument("--node", action="append", default=[], metavar="n2", help="a further node, n2 to n9; repeatable")
    down = commands.add_parser("down", help="stop the cluster; its data stays")
    down.add_argument("--node", action="append", default=[], metavar="n2", help="cut the power of this node only")
    down.add_argument("--purge", action="store_true", help="remove its data too (not programs and images)")
    status = commands.add_parser("status", help="what runs; status 1 when the cluster does not")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    load = commands.add_parser("load", help="put images into every node, and into those that start later")
    load.add_argument("archives", nargs="+", type=Path, metavar="IMAGE.tar", help="as docker save or skopeo write it")
    image = commands.add_parser("image", help="build the images of this repository and of PostgreSQL, and load them")
    image.add_argument("--operator", action="store_true", help="the operator's too: the registry's, helm and the chart")
    wanted = commands.add_parser("needs", help="the Debian packages that are missing; status 1 when some are")
    wanted.add_argument("--install", action="store_true", help="install them")
    legacy = commands.add_parser("legacy", help="a legacy registry in the cluster, filled and used")
    legacy.add_argument("what", choices=("up", "down", "list", "pushed"))
    legacy.add_argument("--variant", default="4.2-local", help="one that `list` names; default: %(default)s")
    commands.add_parser("hello", help="write the archive of the demo's image and print its path")
    commands.add_parser("env", help="addresses and programs as NAME=value lines")
    commands.add_parser("kubectl", help="kubectl for this cluster, whatever KUBECONFIG says")
    shell = commands.add_parser("shell", help="a shell inside a node")
    shell.add_argument("node", nargs="?", default=FIRST_NODE)
    shell.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND", help="run this instead")
    commands.add_parser("leftovers", help="list what is left on the machine; status 1 when there is something")
    return parser


def _run(  # noqa: C901 - a case each
    cluster: Cluster, report: Report, options: argparse.Namespace, parser: argparse.ArgumentParser
) -> int:
    match options.command:
        case "build":
            return _build(cluster, options.names, parser)
        case "up":
            needs.require_root("up")
            needs.require_packages()
            cluster.up(options.node)
        case "down":
            needs.require_root("down")
            if options.node:
                cluster.down_nodes(options.node, purge=options.purge)
            else:
                cluster.down(purge=options.purge)
        case "status":
            return _status(cluster.status(), options.output)
        case "load":
            needs.require_root("load")
            cluster.load(options.archives)
        case "image":
            return _image(cluster, operator=options.operator)
        case "legacy":
            return _legacy(cluster, options.what, options.variant)
        case "needs":
            return _needs(report, install=options.install)
        case "hello":
            sys.stdout.write(f"{cluster.make_hello()}\n")
        case "env":
            sys.stdout.write("".join(f"{name}={shlex.quote(value)}\n" for name, value in environment(cluster).items()))
        case "shell":
            needs.require_root("shell")
            return _shell(cluster, options.node, options.argv)
        case "leftovers":
            found = leftovers.find(cluster.places)
            sys.stdout.write("".join(f"{line}\n" for line in found))
            return int(bool(found))
    return 0


def environment(cluster: Cluster) -> dict[str, str]:
    """What tests and playbooks want to know; the file ``images/NAME.name`` adds the image to use as NAME."""
    places = cluster.places
    values = {
        "KUBECONFIG_FILE": str(places.kubeconfig),
        "HELM": places.program("helm"),
        "KUBECTL": places.program("kubectl"),
        "CRANE": places.program("crane"),
        "NODE_ADDRESS": addresses.node_address(FIRST_NODE),
    }
    names = sorted(places.images.glob("*.name")) if places.images.is_dir() else []
    values |= {file.stem: file.read_text(encoding="utf-8").strip() for file in names}
    return values | (cluster.legacy().settings() if cluster.legacy().name() else {})


def _build(cluster: Cluster, names: Sequence[str], parser: argparse.ArgumentParser) -> int:
    known = [*(program.name for program in programs()), *(store.name for store in STORES)]
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown program {unknown[0]}; there are {', '.join(known)}")
    if not names:
        needs.require_packages()
    done = cluster.build(names)
    sys.stdout.write(f"{cluster.places.programs}: {'made ' + ', '.join(done) if done else 'everything is there'}\n")
    return 0


def _needs(report: Report, *, install: bool) -> int:
    if install and needs.missing():
        needs.require_root("needs --install")
        needs.install(report.say)
    absent = needs.missing()
    sys.stdout.write("".join(f"{package}\n" for package in absent))
    return int(bool(absent))


def _image(cluster: Cluster, *, operator: bool) -> int:
    needs.require_root("image")
    needs.require_packages()
    made = [image.reference for image in cluster.make_images(operator=operator)]
    sys.stdout.write(f"{cluster.places.images}: {'built ' + ', '.join(made) if made else 'everything is there'}\n")
    return 0


def _legacy(cluster: Cluster, what: str, variant: str) -> int:
    there = cluster.legacy().name()
    if what == "list":
        sys.stdout.write("".join(f"{'*' if name == there else ' '} {name}\n" for name in supported()))
        return 0
    if what == "pushed":
        sys.stdout.write("".join(f"{name} {digest}\n" for name, digest in cluster.legacy().pushed().items()))
        return 0
    needs.require_root(f"legacy {what}")
    if what == "up":
        needs.require_packages()
        cluster.make_legacy(variant)
    else:
        cluster.legacy().remove()
    return 0


def _status(status: Mapping[str, Any], output: str) -> int:
    if output == "json":
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    else:
        lines = [f"{name:<24} {f'pid {pid}' if pid else 'not running'}" for name, pid in status["controlPlane"].items()]
        for node in status["nodes"]:
            state = "Ready" if node["ready"] else "not Ready" if node["running"] else "not running"
            lines.append(f"node {node['name']:<19} {state} ({node['address']})")
        lines.append(f"kubeconfig               {status['kubeconfig']}")
        sys.stdout.write("\n".join(lines) + "\n")
    return 0 if status["running"] else 1


def _kubectl(cluster: Cluster, arguments: Sequence[str]) -> int:
    places = cluster.places
    if not places.kubeconfig.exists():
        raise LabError("there is no cluster: start it with `lab/lab up`")
    command = [places.program("kubectl"), "--kubeconfig", str(places.kubeconfig), *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUBECONFIG")}
    os.execve(command[0], command, kept | {"KUBECACHEDIR": str(places.state / "kubectl")})


def _shell(cluster: Cluster, name: str, argv: Sequence[str]) -> int:
    pid = cluster.node(name).pid()
    if pid is None:
        raise LabError(f"node {name} does not run: start it with `lab/lab up --node {name}`")
    command = ["nsenter", "--target", str(pid), *NAMESPACE_OPTIONS, *(argv or ["/bin/bash"])]
    terminal = {key: value for key, value in os.environ.items() if key == "TERM"}
    os.execvpe(command[0], command, clean_environment() | terminal)
