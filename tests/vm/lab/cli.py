"""The VM test lab by hand."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from . import LabError, kernels, modules, runner
from .backends import BACKENDS
from .guest import MACHINES, Guest
from .selftest import selftest


def cmd_fetch(args: argparse.Namespace) -> int:
    for name in args.kernel or kernels.names():
        start = time.monotonic()
        kernel = kernels.fetch(name, refresh=args.refresh)
        print(f"{kernel.name:13} {kernel.release:28} {kernel.version:12} "
              f"{time.monotonic() - start:6.1f} s", flush=True)
    return 0


def cmd_list(_: argparse.Namespace) -> int:
    for name in kernels.names():
        kernel = kernels.cached(name)
        print(f"{name:13} {kernel.release if kernel else '(not fetched)'}")
    for guest in runner.running():
        print(f"running: {guest.name}  pid {guest.pid}  {guest.dir}")
    return 0


def guest_options(args: argparse.Namespace) -> dict[str, Any]:
    """What the command line says about a guest, as Guest takes it."""
    return {"machine": args.machine, "memory": args.memory, "smp": args.smp, "cpu": args.cpu,
            "append": args.append, "la57": args.la57, "pti": {"on": True, "off": False}.get(args.pti),
            "kaslr": not args.nokaslr, "efi": args.efi, "backend": args.backend, "qmp": not args.no_qmp}


def cmd_run(args: argparse.Namespace) -> int:
    try:
        with Guest(args.kernel, name=args.name, **guest_options(args)) as guest:
            print(f"name {guest.name}\npid {guest.pid}\nrelease {guest.release}")
            print(f"qmp {guest.qmp_socket}\n" if guest.qmp else "", end="")
            print(f"console {guest.dir}/console", flush=True)
            if args.workload:
                guest.workload()
            runner.hold(guest)
    except KeyboardInterrupt:
        return 0
    return 2


def cmd_build_modules(args: argparse.Namespace) -> int:
    for name in args.kernel or kernels.names():
        start = time.monotonic()
        made = modules.built(kernels.fetch(name))
        print(f"{kernels.full_name(name):13} {len(made)} modules {time.monotonic() - start:6.1f} s", flush=True)
    return 0


def cmd_selftest(args: argparse.Namespace) -> int:
    for name in args.kernel or kernels.names():
        selftest(name, **guest_options(args))
    return 0


def cmd_sh(args: argparse.Namespace) -> int:
    sys.stdout.write(runner.ask(args.guest, "sh", " ".join(args.words)))
    return 0


def cmd_insmod(args: argparse.Namespace) -> int:
    params = dict(word.split("=", 1) for word in args.param if "=" in word)
    if len(params) != len(args.param):
        raise LabError("parameters are written NAME=VALUE")
    runner.ask(args.guest, "insmod", args.module, **params)
    return 0


def cmd_rmmod(args: argparse.Namespace) -> int:
    runner.ask(args.guest, "rmmod", args.module)
    return 0


def cmd_reset(args: argparse.Namespace) -> int:
    runner.ask(args.guest, "reset")
    return 0


def _add_guest_options(cmd: argparse.ArgumentParser) -> None:
    cmd.add_argument("--machine", choices=MACHINES, default="pc")
    cmd.add_argument("--memory", default="512M")
    cmd.add_argument("--smp", type=int, default=1)
    cmd.add_argument("--cpu", help="QEMU's -cpu")
    cmd.add_argument("--append", default="", help="added to the kernel's command line")
    cmd.add_argument("--la57", action="store_true", help="5-level paging")
    cmd.add_argument("--pti", choices=("on", "off"))
    cmd.add_argument("--nokaslr", action="store_true")
    cmd.add_argument("--efi", action="store_true", help="OVMF instead of SeaBIOS")
    cmd.add_argument("--backend", choices=BACKENDS, default="anon")
    cmd.add_argument("--no-qmp", action="store_true")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    cmd = sub.add_parser("fetch", help="get kernels from Debian into the cache")
    cmd.add_argument("kernel", nargs="*", help="default: all")
    cmd.add_argument("--refresh", action="store_true", help="look for newer ones")
    cmd.set_defaults(func=cmd_fetch)
    cmd = sub.add_parser("build-modules", help="build the test modules")
    cmd.add_argument("kernel", nargs="*", help="default: all")
    cmd.set_defaults(func=cmd_build_modules)
    cmd = sub.add_parser("selftest", help="prove the lab from inside its guests")
    cmd.add_argument("kernel", nargs="*", help="default: all")
    _add_guest_options(cmd)
    cmd.set_defaults(func=cmd_selftest)
    cmd = sub.add_parser("list", help="kernels in the cache, and running guests")
    cmd.set_defaults(func=cmd_list)
    cmd = sub.add_parser("run", help="run a guest until Ctrl-C or SIGTERM")
    cmd.add_argument("kernel", help="such as 6.1, 6.12-generic, new")
    cmd.add_argument("--name", help="as 'lab.py sh' and 'hvsm' know it")
    cmd.add_argument("--workload", action="store_true", help="fill it with one of everything")
    _add_guest_options(cmd)
    cmd.set_defaults(func=cmd_run)
    for name, func, text in (("sh", cmd_sh, "run a command in a guest of 'lab.py run'"),
                             ("insmod", cmd_insmod, "load a test module into it"),
                             ("rmmod", cmd_rmmod, "unload one"),
                             ("reset", cmd_reset, "press its reset button")):
        cmd = sub.add_parser(name, help=text)
        cmd.add_argument("guest", help="its name")
        if name == "sh":
            cmd.add_argument("words", nargs=argparse.REMAINDER, metavar="command")
        elif name != "reset":
            cmd.add_argument("module")
        if name == "insmod":
            cmd.add_argument("param", nargs="*", help="NAME=VALUE")
        cmd.set_defaults(func=func)
    return top


def main() -> int:
    args = parser().parse_args()
    try:
        return args.func(args)
    except LabError as error:
        print(f"lab.py: {error}", file=sys.stderr)
        return 2
