"""What a guest's kernel says about itself from inside, as Python structures to compare with.

guest/truth.c brings the kernel's own text; here it is parsed. Names and paths are bytes, because
a guest may put any bytes into them.

Two things the kernel's text says differently from its memory: /proc adds to the comm of a kworker what it
last worked on ("kworker/0:1-events"), and gives the names of kernel threads in full since 5.17, where task_struct
has the first 15 bytes. Task.same_comm() knows both.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import LabError
from .guest import Guest

HEAD = struct.Struct("<cxHI")
PF_KTHREAD = 0x00200000


@dataclass(frozen=True)
class Symbol:
    """A line of /proc/kallsyms; MODULE is empty for the kernel's own."""

    address: int
    kind: str
    name: str
    module: str


@dataclass(frozen=True)
class Module:
    """A line of /proc/modules, with its sections from sysfs."""

    name: str
    size: int
    refs: int
    users: tuple[str, ...]
    state: str
    address: int
    sections: dict[str, int] = field(compare=False)


@dataclass(frozen=True)
class Fd:
    """An open file: what its link says, and where it stands."""

    target: bytes
    pos: int
    flags: int      # as fdinfo has it, octal in the text
    inode: int


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo, its octal escapes undone."""

    id: int
    parent: int
    device: str     # major:minor
    root: bytes
    point: bytes
    options: tuple[str, ...]
    type: str
    source: bytes
    super_options: tuple[str, ...]


@dataclass
class Thread:
    tid: int
    comm: bytes
    state: str


@dataclass
class Task:
    """A process. UID and GID are (real, effective, saved, filesystem)."""

    pid: int
    ppid: int
    comm: bytes
    state: str                      # the letter of /proc/PID/stat
    kthread: bool
    uid: tuple[int, ...]
    gid: tuple[int, ...]
    caps: dict[str, int]            # inh, prm, eff, bnd, amb
    start_ticks: int                # since boot, 100 a second
    threads: dict[int, Thread]
    nspid: tuple[int, ...]          # its number in each PID namespace, outermost first
    session: int
    pgrp: int
    no_new_privs: bool
    seccomp: int
    tracer: int
    cmdline: list[bytes]
    exe: bytes | None               # None: none (kernel threads, zombies)
    cwd: bytes | None
    root: bytes | None
    cgroup: bytes                   # path in the unified hierarchy
    ns: dict[str, int]              # inode numbers
    fds: dict[int, Fd]
    mounts: list[Mount]
    status: dict[str, str]          # all of /proc/PID/status

    def same_comm(self, comm: bytes) -> bool:
        """Is COMM, as memory has it, this task's?"""
        if not self.kthread:
            return comm == self.comm
        return comm == self.comm[:15] or (comm.startswith(b"kworker/") and
                                          re.split(rb"[-+](?!\d)", self.comm, maxsplit=1)[0] == comm)


@dataclass(frozen=True)
class Socket:
    """A line of /proc/net/{tcp,udp,raw}{,6}."""

    proto: str                      # the file's name: tcp, tcp6 …
    local: tuple[str, int]
    remote: tuple[str, int]
    state: int
    uid: int
    inode: int


@dataclass(frozen=True)
class UnixSocket:
    type: int
    state: int
    flags: int
    inode: int
    path: bytes                     # an abstract name begins with @


@dataclass(frozen=True)
class PacketSocket:
    type: int
    protocol: int
    ifindex: int
    uid: int
    inode: int


@dataclass(frozen=True)
class LogRecord:
    """A record of /dev/kmsg, its \\x escapes undone."""

    level: int
    facility: int
    sequence: int
    time_us: int
    text: bytes


@dataclass
class Truth:
    """One guest at one instant, as nearly as its own /proc can say."""

    files: dict[str, bytes]         # everything that was read, by its path
    symbols: list[Symbol]
    modules: dict[str, Module]
    tasks: dict[int, Task]
    sockets: list[Socket]
    unix: list[UnixSocket]
    packet: list[PacketSocket]
    mounts: list[Mount]             # process 1's
    log: list[LogRecord]
    release: str
    version: str                    # /proc/version
    boot_id: str

    def named(self, comm: str) -> Task:
        """The one process of that name."""
        found = [task for task in self.tasks.values() if task.comm == comm.encode()]
        if len(found) != 1:
            raise LabError(f"expected one process '{comm}', found {len(found)}")
        return found[0]

    def owners(self, inode: int) -> list[tuple[int, int]]:
        """Which (PID, fd) hold the socket of that inode number."""
        link = b"socket:[%d]" % inode
        return [(task.pid, fd) for task in self.tasks.values()
                for fd, file in task.fds.items() if file.target == link]


def collect(guest: Guest) -> Truth:
    """Ask GUEST for the truth. The processes that do the asking are left out."""
    answer = guest.call("exec truth")
    if answer.status:
        raise LabError(f"{guest.name}: truth ended with status {answer.status}: {answer.err.decode()}")
    return parse(answer.out)


def parse(data: bytes) -> Truth:
    """What truth.c printed."""
    files, links, dirs = {}, {}, {}
    for kind, name, value in _records(data):
        if kind == b"F":
            files[name] = value
        elif kind == b"L":
            links[name] = value
        else:
            dirs[name] = [entry.decode(errors="surrogateescape") for entry in value.split(b"\0")[:-1]]
    asking = int(files["self"].split()[0])
    tasks = {}
    for entry in dirs["/proc"]:
        if entry.isdigit() and int(entry) != asking and f"/proc/{entry}/status" in files:
            task = _task(int(entry), files, links, dirs)
            if task:
                tasks[task.pid] = task
    return Truth(
        files=files, symbols=_symbols(files["/proc/kallsyms"]), modules=_modules(files, dirs), tasks=tasks,
        sockets=[socket for proto in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")
                 for socket in _sockets(proto, files.get(f"/proc/net/{proto}", b""))],
        unix=_unix(files["/proc/net/unix"]), packet=_packet(files.get("/proc/net/packet", b"")),
        mounts=tasks[1].mounts, log=_log(files["/dev/kmsg"]),
        release=files["/proc/sys/kernel/osrelease"].decode().strip(),
        version=files["/proc/version"].decode().strip(),
        boot_id=files["/proc/sys/kernel/random/boot_id"].decode().strip())


def _records(data: bytes) -> Iterator[tuple[bytes, str, bytes]]:
    at = 0
    while at < len(data):
        kind, name_len, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        name = data[at:at + name_len].decode(errors="surrogateescape")
        at += name_len
        yield kind, name, data[at:at + length]
        at += length
    if at != len(data):
        raise LabError("the guest's truth was cut short")


def _symbols(text: bytes) -> list[Symbol]:
    found = []
    for line in text.decode().splitlines():
        address, kind, name, *module = line.split()
        found.append(Symbol(int(address, 16), kind, name, module[0][1:-1] if module else ""))
    return found


def _modules(files: dict[str, bytes], dirs: dict[str, list[str]]) -> dict[str, Module]:
    found = {}
    for line in files["/proc/modules"].decode().splitlines():
        name, size, refs, users, state, address, *_ = line.split()
        base = f"/sys/module/{name}/sections"
        sections = {section: int(files[f"{base}/{section}"], 16) for section in dirs.get(base, ())}
        found[name] = Module(name, int(size), int(refs),
                             tuple(user for user in users.split(",") if user not in ("-", "")),
                             state, int(address, 16), sections)
    return found


def _task(pid: int, files: dict[str, bytes], links: dict[str, bytes],
          dirs: dict[str, list[str]]) -> Task | None:
    """None when the process went while it was being asked."""
    base = f"/proc/{pid}"
    if any(f"{base}/{name}" not in files for name in ("status", "stat", "comm", "cmdline", "cgroup")):
        return None
    status = dict(line.split(":\t", 1) for line in
                  files[f"{base}/status"].decode(errors="surrogateescape").splitlines() if ":\t" in line)
    stat = _stat(files[f"{base}/stat"])
    cgroup = [line[3:] for line in files[f"{base}/cgroup"].splitlines() if line.startswith(b"0::")]
    namespaces = {name: int(re.findall(rb"\[(\d+)\]", links[f"{base}/ns/{name}"])[0])
                  for name in dirs.get(f"{base}/ns", ()) if f"{base}/ns/{name}" in links}
    return Task(
        pid=pid, ppid=int(stat[1]), comm=_comm(files[f"{base}/comm"]), state=stat[0],
        kthread=bool(int(stat[6]) & PF_KTHREAD),
        uid=tuple(map(int, status["Uid"].split())), gid=tuple(map(int, status["Gid"].split())),
        caps={name: int(status[f"Cap{name.capitalize()}"], 16) for name in ("inh", "prm", "eff", "bnd", "amb")},
        start_ticks=int(stat[19]), threads=_threads(base, files, dirs),
        nspid=tuple(map(int, status["NSpid"].split())), session=int(stat[3]), pgrp=int(stat[2]),
        no_new_privs=status["NoNewPrivs"] == "1", seccomp=int(status["Seccomp"]),
        tracer=int(status["TracerPid"]),
        cmdline=files[f"{base}/cmdline"].split(b"\0")[:-1],
        exe=links.get(f"{base}/exe"), cwd=links.get(f"{base}/cwd"), root=links.get(f"{base}/root"),
        cgroup=cgroup[0] if cgroup else b"", ns=namespaces, fds=_fds(base, files, links, dirs),
        mounts=_mounts(files.get(f"{base}/mountinfo", b"")), status=status)


def _comm(text: bytes) -> bytes:
    """The file ends with a newline of its own; the name may hold others."""
    return text[:-1]


def _stat(text: bytes) -> list[str]:
    """The fields behind the name, which may itself hold parentheses and spaces."""
    return text[text.rindex(b")") + 2:].decode().split()


def _threads(base: str, files: dict[str, bytes], dirs: dict[str, list[str]]) -> dict[int, Thread]:
    found = {}
    for tid in dirs.get(f"{base}/task", ()):
        comm, stat = files.get(f"{base}/task/{tid}/comm"), files.get(f"{base}/task/{tid}/stat")
        if comm is not None and stat is not None:
            found[int(tid)] = Thread(int(tid), _comm(comm), _stat(stat)[0])
    return found


def _fds(base: str, files: dict[str, bytes], links: dict[str, bytes],
         dirs: dict[str, list[str]]) -> dict[int, Fd]:
    found = {}
    for number in dirs.get(f"{base}/fd", ()):
        target, info = links.get(f"{base}/fd/{number}"), files.get(f"{base}/fdinfo/{number}")
        if target is None or info is None:
            continue
        fields = dict(line.split(":\t", 1) for line in info.decode(errors="replace").splitlines() if ":\t" in line)
        found[int(number)] = Fd(target, int(fields["pos"]), int(fields["flags"], 8), int(fields.get("ino", 0)))
    return found


def _unescape(text: bytes) -> bytes:
    """Undo the octal escapes of space, tab, newline and backslash (and # in newer kernels)."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text)


def _mounts(text: bytes) -> list[Mount]:
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(b" - ")
        number, parent, device, root, point, options, *_ = left.split(b" ")
        kind, source, super_options = right.split(b" ")
        found.append(Mount(int(number), int(parent), device.decode(), _unescape(root), _unescape(point),
                           tuple(options.decode().split(",")), kind.decode(), _unescape(source),
                           tuple(super_options.decode(errors="replace").split(","))))
    return found


def _endpoint(text: str) -> tuple[str, int]:
    """Addresses are words in the machine's byte order, ports plain hexadecimal."""
    words, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(words[i:i + 8])[::-1] for i in range(0, len(words), 8))
    return str(ipaddress.ip_address(raw)), int(port, 16)


def _sockets(proto: str, text: bytes) -> list[Socket]:
    found = []
    for line in text.decode().splitlines()[1:]:
        words = line.split()
        found.append(Socket(proto, _endpoint(words[1]), _endpoint(words[2]), int(words[3], 16),
                            int(words[7]), int(words[9])))
    return found


def _unix(text: bytes) -> list[UnixSocket]:
    """The path is the rest of its record, and may hold newlines: a record begins with an address."""
    found = []
    for match in re.finditer(rb"^[0-9a-f]{16}: \w+ \w+ (\w+) (\w+) (\w+) +(\d+)(?: (.*?))?$(?=\n[0-9a-f]{16}: |\n?\Z)",
                             text, re.M | re.S):
        kind, state, inode = int(match[2], 16), int(match[3], 16), int(match[4])
        found.append(UnixSocket(kind, state, int(match[1], 16), inode, match[5] or b""))
    return found


def _packet(text: bytes) -> list[PacketSocket]:
    found = []
    for line in text.decode().splitlines()[1:]:
        words = line.split()
        found.append(PacketSocket(int(words[2]), int(words[3], 16), int(words[4]), int(words[7]), int(words[8])))
    return found


def _log(text: bytes) -> list[LogRecord]:
    """Lines that begin with a space belong to the record before them."""
    found = []
    for line in text.splitlines():
        head, semicolon, message = line.partition(b";")
        if line.startswith(b" ") or not semicolon:
            continue
        priority, sequence, time_us, *_ = head.decode().split(",")
        plain = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), message)
        found.append(LogRecord(int(priority) & 7, int(priority) >> 3, int(sequence), int(time_us), plain))
    return found
