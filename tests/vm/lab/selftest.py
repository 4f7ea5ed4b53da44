"""Proves from inside a guest that the lab does what its users build on.

For each test module: it loads, its technique is in effect, the guest still works, and where it
can be undone it is. What a test of the product finds from outside is then a real thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import LabError, images
from .cache import progress
from .guest import Guest
from .truth import collect


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


def test_workload_and_truth(guest: Guest) -> None:
    """What the workload made, the truth must know: else a comparison with it proves nothing."""
    roles = guest.workload()
    truth = collect(guest)
    for role, pid in roles:
        comm = b"\x1b[31m\nx\t\\" if role == "lab-weird" else role.encode()
        expect(f"truth: comm of {role}", truth.tasks[pid].comm, comm)
    expect("truth: states", [truth.named(f"lab-{name}").state for name in ("zombie", "stopped", "spin", "files")],
           ["Z", "T", "R", "S"])
    expect("truth: threads", sorted(thread.comm for thread in truth.named("lab-threads").threads.values()),
           sorted([b"lab-threads", *(b"worker-%d" % i for i in range(8))]))
    daemon = truth.named("lab-daemon")
    expect("truth: users", (daemon.uid, daemon.gid), ((1000, 1001, 1000, 1001), (1000,) * 4))
    expect("truth: capabilities", (daemon.caps["prm"], daemon.caps["eff"]), (1 << 10, 1 << 10))
    inside = truth.named("lab-container")
    expect("truth: number in the namespace", inside.nspid, (inside.pid, 1))
    expect("truth: namespaces of its own", sorted(name for name, inode in inside.ns.items()
                                                  if inode != truth.tasks[1].ns[name]),
           ["ipc", "mnt", "pid", "pid_for_children", "uts"])
    expect("truth: cgroup", inside.cgroup.startswith(b"/lab.slice/docker-"), True)
    expect("truth: mounts inside", [mount.source for mount in inside.mounts if mount.point == b"/mnt"], [b"inside"])
    expect("truth: arguments", len(truth.named("lab-longargv").cmdline), 303)
    files = {fd.target: fd.pos for fd in truth.named("lab-files").fds.values()}
    expect("truth: deleted file", files.get(b"/tmp/deleted file (deleted)"), 4)
    expect("truth: memfd", files.get(b"/memfd:lab-memfd (deleted)"), 0)
    owners = truth.named("lab-sockets").pid
    listening = {socket.local for socket in truth.sockets if socket.state == 10}
    expect("truth: listening", listening, {("127.0.0.1", 8080), ("::1", 8081), ("::", 8082), ("0.0.0.0", 8083)})
    expect("truth: sockets by kind", {proto: sum(socket.proto == proto for socket in truth.sockets) for proto in
                                      ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")},
           {"tcp": 6, "tcp6": 4, "udp": 2, "udp6": 2, "raw": 1, "raw6": 1})
    # A connection that nobody accepted has no inode yet, so nobody can own it.
    expect("truth: owners of the sockets", {pid for socket in truth.sockets if socket.inode
                                            for pid, _ in truth.owners(socket.inode)}, {owners})
    expect("truth: UNIX sockets", sorted({socket.path for socket in truth.unix}),
           [b"", b"/run/lab.dgram", b"/run/lab.seqpacket", b"/run/lab.stream", b"@lab.abstract"])
    expect("truth: packet sockets", len(truth.packet), 2)
    expect("truth: odd mount point", [mount.root for mount in truth.mounts if mount.point == b"/tmp/bind to\n\x1b"],
           [b"/bind-from"])
    expect("truth: kernel log", [record.text for record in truth.log if record.facility == 1][-2:],
           [b"lab: a line from user space", b"lab: odd bytes \x1b[31m\xff and \\ in a line"])
    expect("truth: modules against sysfs", [name for name, module in truth.modules.items()
                                            if module.sections.get(".text", module.address) == 0], [])
    expect("truth: symbols", all(symbol.address for symbol in truth.symbols if symbol.name == "init_task"), True)
    guest.sh(f"kill -9 {truth.named('lab-main').pid}; "
             "for p in $(pgrep lab-) $(pgrep worker) $(pgrep -f workload); do kill -9 $p; done; true")


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
    guest.insmod("hook_idt")
    expect("hook_idt: the gate leads to it", parameter(guest, "hook_idt", "hooked"), "Y")
    guest.rmmod("hook_idt")
    # Isolated page tables map no module for user space: there, to come by would end the guest.
    if "page tables isolation: enabled" not in guest.sh("dmesg"):
        hook(guest, "hook_idt", "int 4")
    guest.sh("probe int 4")


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


def test_images(guest: Guest) -> None:
    """The same bytes in each format, where the guest says that its kernel lies."""
    found = re.search(r"^ *([0-9a-f]+)-([0-9a-f]+) : Kernel rodata", guest.sh("cat /proc/iomem"), re.M)
    if not found:
        raise LabError("images: /proc/iomem names no rodata")
    start, end = int(found[1], 16), int(found[2], 16)
    banner = f"Linux version {guest.release}".encode()
    core, raw, lime = (guest.dir / name for name in ("core", "raw", "lime"))
    guest.dump(core)
    images.to_raw(core, raw)
    images.to_lime(core, lime)
    with open(raw, "rb") as file:
        file.seek(start)
        rodata = file.read(end - start)
    expect("images: banner in the raw image", banner in rodata, True)
    before = [segment for segment in images.segments(core) if segment.start <= start]
    with open(lime, "rb") as file:
        file.seek(sum(32 + segment.size for segment in before) - before[-1].size + start - before[-1].start)
        expect("images: LiME against raw", file.read(end - start) == rodata, True)
    for path in (core, raw, lime):
        path.unlink()


def test_kexec(guest: Guest) -> None:
    before = guest.fetch("/proc/sys/kernel/random/boot_id")
    guest.kexec("lab=kexec")
    expect("kexec: another boot", guest.fetch("/proc/sys/kernel/random/boot_id") != before, True)
    expect("kexec: its command line", "lab=kexec" in guest.sh("cat /proc/cmdline"), True)


TESTS: tuple[Callable[[Guest], None], ...] = (
    test_workload_and_truth,
    test_hook_syscall64, test_hook_syscall32, test_hook_dispatch, test_hook_idt,
    test_hide_module_list, test_hide_module_mod_tree, test_hide_module_blank,
    test_hide_module_sysfs, test_hide_module_all,
    test_hide_task_list, test_hide_task_pid, test_hide_task_both, test_corrupt,
    test_images, test_kexec)


def selftest(kernel: str, **options: Any) -> None:
    """Run every test on KERNEL; the first that fails ends it with an error that says what."""
    with Guest(kernel, **options) as guest:
        for test in TESTS:
            test(guest)
            if re.search(r"BUG:|Oops|WARNING:|general protection", guest.sh("dmesg")):
                raise LabError(f"{test.__name__}: the guest's kernel complains\n{guest.sh('dmesg | tail -30')}")
            progress(f"{guest.kernel.name}: {test.__name__[5:]}: ok")
