"""Proves from inside a guest that the lab does what its users build on.

For each test module: it loads, its technique is in effect, the guest still works, and where it
can be undone it is. What a test of the product finds from outside is then a real thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from . import LabError
from .cache import progress
from .guest import Guest


def expect(what: str, seen: object, wanted: object) -> None:
    """Fail with both sides when SEEN is not WANTED."""
    if seen != wanted:
        raise LabError(f"{what}: expected {wanted!r}, got {seen!r}")


def parameter(guest: Guest, module: str, name: str) -> str:
    return guest.fetch(f"/sys/module/{module}/parameters/{name}").decode().strip()


def loaded(guest: Guest) -> list[str]:
    return [line.split()[0] for line in guest.sh("cat /proc/modules").splitlines()]


def has_symbol(guest: Guest, name: str) -> bool:
    return guest.call(f"grep -q '^[0-9a-f]* [A-Za-z] {name}$' /proc/kallsyms").status == 0


def hook(guest: Guest, module: str, probe: str, reached: bool = True) -> None:
    """A hook counts who passes, and the right answer comes out; after it nobody passes."""
    guest.insmod(module)
    before = int(parameter(guest, module, "hits"))
    guest.sh(f"probe {probe}")
    after = int(parameter(guest, module, "hits"))
    expect(f"{module}: reached by 'probe {probe}'", after > before, reached)
    guest.rmmod(module)
    guest.sh(f"probe {probe}")
    expect(f"{module}: unloaded", module in loaded(guest), False)


def test_hook_syscall64(guest: Guest) -> None:
    # With x64_sys_call the table is for tracing only: changed, but not on the way.
    hook(guest, "hook_syscall64", "getpid64", reached=not has_symbol(guest, "x64_sys_call"))


def test_hook_syscall32(guest: Guest) -> None:
    hook(guest, "hook_syscall32", "getpid32")


def test_hook_dispatch(guest: Guest) -> None:
    hook(guest, "hook_dispatch", "getpid64")


def test_hook_idt(guest: Guest) -> None:
    hook(guest, "hook_idt", "int 4")


def test_hide_module_list(guest: Guest) -> None:
    guest.insmod("hide_module", how="list")
    expect("hide_module list: in /proc/modules", "hide_module" in loaded(guest), False)
    expect("hide_module list: in sysfs", guest.call("test -d /sys/module/hide_module").status, 0)
    expect("hide_module list: in kallsyms", "[hide_module]" in guest.sh("cat /proc/kallsyms"), False)
    guest.sh("echo 1 > /sys/module/hide_module/parameters/restore")
    expect("hide_module list: restored", "hide_module" in loaded(guest), True)
    guest.rmmod("hide_module")


def test_hide_module_mod_tree(guest: Guest) -> None:
    guest.insmod("hide_module", how="mod_tree")
    expect("hide_module mod_tree: its own look-up by address", parameter(guest, "hide_module", "in_tree"), "N")
    expect("hide_module mod_tree: in /proc/modules", "hide_module" in loaded(guest), True)
    guest.sh("echo 1 > /sys/module/hide_module/parameters/restore")
    expect("hide_module mod_tree: restored", parameter(guest, "hide_module", "in_tree"), "Y")
    guest.rmmod("hide_module")


def test_hide_module_blank(guest: Guest) -> None:
    guest.insmod("hide_module", how="blank")
    lines = guest.sh("cat /proc/modules").splitlines()
    expect("hide_module blank: nameless lines", [line[:1] for line in lines].count(" "), 1)
    guest.sh("echo 1 > /sys/module/hide_module/parameters/restore")
    guest.rmmod("hide_module")


def test_hide_module_sysfs(guest: Guest) -> None:
    """Last of its kind but one: what is out of sysfs cannot be put back."""
    guest.insmod("hide_module", how="sysfs")
    expect("hide_module sysfs: in sysfs", guest.call("test -d /sys/module/hide_module").status, 1)
    expect("hide_module sysfs: in /proc/modules", "hide_module" in loaded(guest), True)
    guest.powercycle()


def test_hide_module_all(guest: Guest) -> None:
    guest.insmod("hide_module", how="all,blank")
    expect("hide_module all: in sysfs", guest.call("test -d /sys/module/hide_module").status, 1)
    lines = guest.sh("cat /proc/modules").splitlines()
    expect("hide_module all: in /proc/modules",
           [line for line in lines if line.startswith((" ", "hide_module"))], [])
    expect("hide_module all: in kallsyms", "hide_module" in guest.sh("cat /proc/kallsyms"), False)
    guest.powercycle()


def hide_task(guest: Guest, how: str, seen: str) -> None:
    pid = int(guest.sh("sleep 100000 >/dev/null 2>&1 & echo $!"))
    guest.insmod("hide_task", pid=pid, how=how)
    expect(f"hide_task {how}: where the kernel finds it", parameter(guest, "hide_task", "seen"), seen)
    listed = str(pid) in guest.sh("ls /proc").split()
    expect(f"hide_task {how}: /proc/{pid} listed", listed, "pid=1" in seen)
    expect(f"hide_task {how}: /proc/{pid} opens", guest.call(f"cat /proc/{pid}/stat").status == 0, "pid=1" in seen)
    guest.rmmod("hide_task")
    expect(f"hide_task {how}: back in /proc", guest.call(f"grep -q sleep /proc/{pid}/comm").status, 0)
    guest.sh(f"kill {pid}")
    # And one that ends while it is hidden, which its exit must survive.
    guest.sh("rm -f /tmp/ended /tmp/gate; mkfifo /tmp/gate; "
             "(exec >/dev/null 2>&1 </dev/null; sh -c 'echo $$ >/tmp/pid; exec cat /tmp/gate'; touch /tmp/ended) &")
    pid = int(guest.sh("while ! test -s /tmp/pid; do usleep 10000; done; cat /tmp/pid; rm /tmp/pid"))
    guest.insmod("hide_task", pid=pid, how=how)
    guest.sh("echo >/tmp/gate; while ! test -e /tmp/ended; do usleep 10000; done")
    guest.rmmod("hide_task")
    expect(f"hide_task {how}: gone after its end", guest.call(f"test -d /proc/{pid}").status, 1)


def test_hide_task_list(guest: Guest) -> None:
    hide_task(guest, "list", "list=0 pid=1")


def test_hide_task_pid(guest: Guest) -> None:
    hide_task(guest, "pid", "list=1 pid=0")


def test_hide_task_both(guest: Guest) -> None:
    hide_task(guest, "both", "list=0 pid=0")


def corrupt(guest: Guest, what: str, links: str, **params: object) -> None:
    guest.insmod("corrupt", what=what, **params)
    expect(f"corrupt {what}: what a bounded walk meets", parameter(guest, "corrupt", "walk"), links)
    guest.sh("true; ls /proc > /dev/null")       # forks, exits, and reads
    guest.rmmod("corrupt")
    expect(f"corrupt {what}: the guest afterwards", "corrupt" in loaded(guest), False)


def test_corrupt(guest: Guest) -> None:
    corrupt(guest, "task_cycle", "cycle")
    corrupt(guest, "task_wild", "wild")
    corrupt(guest, "long_list", "long", count=1000000)
    corrupt(guest, "module_cycle", "cycle")
    corrupt(guest, "module_wild", "wild")


TESTS: tuple[Callable[[Guest], None], ...] = (
    test_hook_syscall64, test_hook_syscall32, test_hook_dispatch, test_hook_idt,
    test_hide_module_list, test_hide_module_mod_tree, test_hide_module_blank,
    test_hide_module_sysfs, test_hide_module_all,
    test_hide_task_list, test_hide_task_pid, test_hide_task_both, test_corrupt)


def selftest(kernel: str) -> None:
    """Run every test on KERNEL; the first that fails ends it with an error that says what."""
    with Guest(kernel) as guest:
        for test in TESTS:
            test(guest)
            if re.search(r"BUG:|Oops|WARNING:|general protection", guest.sh("dmesg")):
                raise LabError(f"{test.__name__}: the guest's kernel complains\n{guest.sh('dmesg | tail -30')}")
            progress(f"{guest.kernel.name}: {test.__name__[5:]}: ok")
