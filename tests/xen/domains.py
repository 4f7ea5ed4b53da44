"""What holds for guests of a real Xen host, which is emulated: what hvsm sees from dom0 is what they say
inside; untouched they are clean, and what modules change in them is found."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from xenlab import HERE, Domain, XenHost, box  # noqa: E402

from lab import agent  # noqa: E402
from lab.image import busybox, programs  # noqa: E402
from lab.kernels import Kernel  # noqa: E402
from lab.product import binary, findings  # noqa: E402

STORE = "/share/store"
FOLDER = "/tmp/daemon"
# An emulated host is too slow for what is paid for by and by.
CONFIG = """
user = lab
state_dir = "{folder}/state"
socket = "{folder}/socket"
guest_cpu_percent = 100
host_cpu_percent = 200
mode = enforce
reaction cut {{ kind = unlink }}
reaction stop {{ kind = pause }}
guest "*" {{ watch = no }}
guest "{name}" {{
	watch = yes
	reactions = {{ cut, stop }}
}}
"""
REACTIONS = "mode = enforce\nreaction dump { kind = dump\n directory = /share/dumps\n timeout_s = 600 }\n" + "".join(
    f"reaction {kind} {{ kind = {kind} }}\n" for kind in ("pause", "unlink", "shutdown", "poweroff"))
OTHER_UUID = "80594000-334a-47f6-9927-1e04f54aefea"
# What is done to a guest at once, and what must be found: each object's pattern, and its owner.
ATTACKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hook_syscall64", {"nr": 39}), ("hook_idt", {}), ("hook_net", {"how": "netfilter", "hide": 1}),
    ("hook_file", {"what": "cdev", "hide": 1}), ("hide_task", {"how": "list", "pid": "{hidden}"}),
    ("patch_code", {"mode": "prologue"}), ("control_register", {"how": "wp"}), ("entry_point", {"how": "gdt"}),
    ("page_table", {"how": "alias"}), ("fake_thread", {"how": "name"}), ("defer", {"mode": "timer"}),
    ("hide_module", {"how": "list"}),
)
HIDES = ("hook_net", "hook_file", "defer", "hide_module")
NO_ONE = r"no one \(text of the hidden module {}\)"
FOUND = {
    ("syscall-table", r"sys_call_table\[39\]", "module hook_syscall64"),
    ("kernel-rodata", r"sys_call_table", "module hook_syscall64"),
    ("idt", r"idt_table\[4\]", "module hook_idt"),
    ("netfilter-hooks", r".+", NO_ONE.format("hook_net")),
    ("device-operations", r"character device .+: file_operations\.open", NO_ONE.format("hook_file")),
    ("timers", r"timer that calls .+: timer_list\.function", NO_ONE.format("defer")),
    ("hidden-task", r"{hidden}", ""),
    ("agent-view", r"{hidden} inside", ""),
    ("process-code", r"{written} modified code", ""),
    ("kernel-code", r"kernel_restart", "module patch_code"),
    ("control-registers", r"vCPU 0 CR0\.WP", ""),
    ("entry-points", r"CPU 0 GDT\[7\]", ""),
    ("executable-memory", r"memory at 0x[0-9a-f]+", "kernel"),
    ("kernel-threads", r"\d+", "module fake_thread"),
    *((check, name, f"module {name}") for name in HIDES for check in ("hidden-module", "module-record")),
}
# A PV guest has no such registers and tables: Xen has. What it tells Xen it has in their place.
NOT_PV = {"hook_idt": "idt", "control_register": "control-registers", "entry_point": "entry-points", "page_table": "executable-memory"}
PV_ATTACKS = (*(attack for attack in ATTACKS if attack[0] not in NOT_PV), ("xen_entry", {"how": "trap"}))
PV_FOUND = {found for found in FOUND if found[0] not in NOT_PV.values()} | {
    ("xen-callbacks", r"vCPU 0 trap 17", "module xen_entry")}
# Reached only where something hangs: nothing here is about how long it takes.
LIMIT_S = 600.0
# In dom0 it takes 0.4 s to ask hvsmd, which has that CPU, too.
ASK_S = 1.0
# What an agent in the guest would be needed for.
BY_AGENT = {"agent-alive", "agent-code", "agent-log", "agent-presence", "agent-view", "agent-watch",
            "process-code", "process-digest", "process-replaced"}


class XenTest(unittest.TestCase):
    """One host for all; each class has its guest."""

    host: XenHost
    guest: Domain
    kind = ""
    kernel = ""         # dom0's

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = shared_host()
        cls.guest = Domain(cls.host, cls.kind, kernel=cls.kernel)
        cls.addClassCleanup(cls.host.call, f"xl destroy {cls.guest.name}")
        cls.guest.create()

    def hvsm(self, *args: object, status: int = 0) -> Any:
        """One JSON document of hvsm's in dom0."""
        answer = self.host.hvsm(*args, "--json")
        text = (answer.err + answer.out[-3000:]).decode(errors="replace")
        self.assertEqual(answer.status, status, text)
        self.assertNotIn("Sanitizer", text)
        return json.loads(answer.out)

    def scan(self, *args: object, status: int = 0) -> Any:
        return self.hvsm("scan", self.guest.name, "--store", STORE, *args, status=status)

    def ps(self) -> dict[int, str]:
        """As the guest's own /proc has it; what ended while it was read is left out."""
        out = self.guest.sh("for d in /proc/[0-9]*; do cat $d/stat 2>/dev/null; done; true")
        # A kernel thread's whole name is longer than the comm that it has.
        return {int(m[1]): m[2][:15] for m in re.finditer(r"^(\d+) \((.*)\) [A-Z] ", out, re.M)}


class Common:
    """What holds for a guest of each kind that can be attached."""

    def test_list_shows_it_and_dom0(self) -> None:
        listed = {item["target"]: item for item in self.hvsm("list")["items"]}
        own = listed[f"xen:{self.guest.id}"]
        self.assertEqual(own["name"], self.guest.name)
        self.assertEqual(own["machine"], self.kind)
        self.assertTrue(own["attachable"])
        self.assertFalse(own["stopped"])
        self.assertRegex(self.host.sh(f"xl list -l {self.guest.name}"), own["uuid"])
        self.assertFalse(listed["xen:0"]["attachable"])
        self.assertIn("itself", listed["xen:0"]["why_not"])

    def test_info_by_every_name(self) -> None:
        banner = self.guest.sh("cat /proc/version").strip()
        uuid = next(i["uuid"] for i in self.hvsm("list")["items"] if i["name"] == self.guest.name)
        for target in (self.guest.name, f"xen:{self.guest.name}", f"xen:{self.guest.id}", f"xen:{uuid}"):
            with self.subTest(target):
                info = self.hvsm("info", target)
                self.assertEqual(info["kernel"]["banner"], banner)
                self.assertEqual(info["guest"]["target"], f"xen:{self.guest.id}")

    def test_symbols_are_those_inside(self) -> None:
        inside = self.guest.sh("grep -E ' (linux_banner|init_task|sys_call_table|pv_ops)$' /proc/kallsyms")
        seen = self.hvsm("symbols", self.guest.name, "linux_banner", "init_task", "sys_call_table", "pv_ops")
        self.assertEqual({s["name"]: int(s["address"], 16) for s in seen["items"]},
                         {line.split()[2]: int(line.split()[0], 16) for line in inside.splitlines()})

    def test_processes_are_those_inside(self) -> None:
        self.guest.sh("(exec sleep 1000) & (exec sleep 2000) &")
        before = self.ps()
        seen = {item["pid"]: item["comm"] for item in self.hvsm("ps", self.guest.name)["items"]}
        after = self.ps()
        self.assertEqual(sum(comm == "sleep" for comm in seen.values()), 2)
        # The shells that read /proc come and go, and idle kworkers take other names.
        steady = {pid for pid in before if after.get(pid) == before[pid]}
        self.assertLessEqual(steady, set(seen))
        self.assertLessEqual({pid for pid, comm in seen.items() if not comm.startswith("kworker")},
                             set(before) | set(after))
        self.assertEqual({pid: seen[pid] for pid in steady if not seen[pid].startswith("kworker")},
                         {pid: before[pid] for pid in steady if not seen[pid].startswith("kworker")})
        self.guest.sh("killall sleep")

    def test_modules_are_those_inside(self) -> None:
        inside = {line.split()[0] for line in self.guest.sh("cat /proc/modules").splitlines()}
        self.assertEqual({m["name"] for m in self.hvsm("modules", self.guest.name)["items"]}, inside)

    def test_untouched_it_is_clean_and_all_is_covered(self) -> None:
        report = self.scan()
        self.assertEqual(report["verdict"], "clean")
        self.assertEqual(report["assurance"], "reference")
        results = {check["id"]: check for check in report["checks"]}
        self.assertEqual({name for name, check in results.items() if check["result"] != "clean"}, BY_AGENT)
        self.all_is_covered(results)

    def all_is_covered(self, results: dict[str, Any]) -> None:
        # CR0, CR3 and CR4; EFER; IDTR, GDTR and TR; LSTAR and SYSENTER_EIP.
        covered = {"vCPUs": 1, "EFER registers": 1, "table registers": 3, "entry registers": 2, "copies of CR4": 1}
        self.assertEqual(results["control-registers"]["covered"], covered)

    def test_ballooned_it_is_clean(self) -> None:
        most = int(self.host.sh(f"xenstore-read /local/domain/{self.guest.id}/memory/static-max")) // 1024
        self.addCleanup(self.host.call, f"xl mem-set {self.guest.name} {most}")
        self.host.sh(f"xl mem-set {self.guest.name} {most - 24}")
        self.assertEqual(self.scan()["verdict"], "clean")
        # All the time while it is looked at; what comes and goes may leave a doubt, and no finding.
        self.host.sh(f"(while xl mem-set {self.guest.name} {most} && xl mem-set {self.guest.name} {most - 24}; "
                     "do :; done) >/dev/null 2>&1 & echo $! >/tmp/balloon")
        self.addCleanup(self.host.call, "kill $(cat /tmp/balloon)")
        answer = self.host.hvsm("scan", self.guest.name, "--store", STORE, "--json")
        self.assertIn(answer.status, (0, 3), answer.out[-3000:])
        self.assertEqual(json.loads(answer.out)["findings"], [])

    def test_scanner_has_no_right_to_xen(self) -> None:
        seen = self.host.sh(
            f"/build/src/hvsm scan {self.guest.name} --store {STORE} >/dev/null 2>&1 & p=$!; "
            "while kill -0 $p 2>/dev/null; do for c in $(cat /proc/$p/task/$p/children); do "
            "echo SAMPLE; ls -l /proc/$c/fd; cat /proc/$c/maps; done 2>/dev/null; sleep 0.1; done; true")
        # Before it has the guest's buffer it may be the starter's child that is not yet a scanner.
        samples = [sample for sample in seen.split("SAMPLE\n") if "hvsm-memory" in sample]
        self.assertGreater(len(samples), 0, seen[-3000:])
        for sample in samples:
            self.assertNotIn("xen/", sample)
            self.assertNotIn("privcmd", sample)

    def test_paused_it_is_read_and_said_to_be(self) -> None:
        self.host.sh(f"xl pause {self.guest.name}")
        self.addCleanup(self.host.call, f"xl unpause {self.guest.name}")
        listed = {item["name"]: item for item in self.hvsm("list")["items"]}
        self.assertTrue(listed[self.guest.name]["stopped"])
        self.assertIn("init", {item["comm"] for item in self.hvsm("ps", self.guest.name)["items"]})
        # Its clocks stand still, so nothing that it shows is known to be of now.
        self.assertEqual(self.scan(status=3)["verdict"], "inconclusive")

    def test_hooked_system_call_is_found(self) -> None:
        self.guest.insmod("hook_syscall64", nr=39)
        self.addCleanup(self.guest.rmmod, "hook_syscall64")
        found = findings(self.scan("--only", "syscall-table,module-code", status=1), "syscall-table")
        self.assertEqual([f["object"]["name"] for f in found], ["sys_call_table[39]"])

    def test_hidden_process_is_found(self) -> None:
        pid = self.guest.sh("sleep 3000 >/dev/null 2>&1 & echo $!").strip()
        self.addCleanup(self.guest.sh, f"kill {pid}")
        self.guest.insmod("hide_task", pid=pid, how="list")
        self.addCleanup(self.guest.rmmod, "hide_task")
        found = findings(self.scan("--only", "hidden-task", status=1), "hidden-task")
        self.assertEqual([f["object"]["name"] for f in found], [pid])

    def test_write_protection_turned_off_is_found_in_the_register(self) -> None:
        self.guest.insmod("control_register", how="wp")
        self.addCleanup(self.guest.rmmod, "control_register")
        found = findings(self.scan("--only", "control-registers", status=1), "control-registers")
        self.assertTrue(any("CR0" in json.dumps(f) for f in found), found)


class Alive:
    """What is done with domains of their own: attacked, treated, watched by hvsmd, ended."""

    attacks = ATTACKS
    found = FOUND
    moves: tuple[Callable[[Domain], None], ...] = (Domain.save_and_restore, Domain.migrate)
    # Found as well where much is done at once.
    test_hooked_system_call_is_found = None
    test_hidden_process_is_found = None
    test_write_protection_turned_off_is_found_in_the_register = None

    def test_saved_or_destroyed_in_mid_scan_it_ends_and_is_no_zombie(self) -> None:
        with Domain(self.host, self.kind, "victim") as victim:
            for end in (victim.save_and_restore, lambda: self.host.sh(f"xl destroy {victim.id}")):
                was = victim.id
                self.host.sh("rm -f /tmp/status; (exec >/dev/null 2>/tmp/err; "
                             f"/build/src/hvsm scan xen:{was} --store {STORE}; echo $? >/tmp/status) & sleep 2")
                end()
                status = self.host.sh("until [ -s /tmp/status ]; do sleep 0.1; done; cat /tmp/status").strip()
                # 0: it was quicker.
                self.assertIn(status, ("0", "2", "3"), self.host.sh("cat /tmp/err"))
                self.ended(was)

    def test_agent_inside_and_much_done_at_once(self) -> None:
        with Domain(self.host, self.kind, "attacked", kernel=self.kernel) as attacked:
            agent.start(attacked)
            agent.wait_running(attacked)
            for step in (self.agent_is_proved, self.all_is_found, self.agent_is_killed):
                with self.subTest(step.__name__):
                    step(attacked)

    def scan_with_agent(self, guest: Domain, *args: object, status: int) -> Any:
        return self.hvsm("scan", guest.name, "--store", STORE, "--agent", "/build/src/hvsm-agent", *args,
                         status=status)

    def agent_is_proved(self, guest: Domain) -> None:
        """What every check has to say of an untouched guest whose programs are known: clean."""
        report = self.scan_with_agent(guest, status=0)
        self.assertEqual({check["id"]: check["result"] for check in report["checks"] if check["result"] != "clean"}, {})
        self.assertEqual(report["agent"]["state"], "trusted")
        inside = {line.split()[1]: line.split()[0]
                  for line in guest.sh(f"sha256sum /bin/busybox {agent.PROGRAM}").splitlines()}
        self.assertEqual({p["comm"]: (p["path"], p["digest"], p["result"]) for p in report["processes"]},
                         {"init": ("/bin/busybox", inside["/bin/busybox"], "known"),
                          "hvsm-agent": (agent.PROGRAM, inside[agent.PROGRAM], "known")})

    def all_is_found(self, guest: Domain) -> None:
        """Each by its name, and nothing but these."""
        pids = {"hidden": guest.sh("sleep 3000 >/dev/null 2>&1 & echo $!").strip(),
                "written": guest.sh("meddle start; sleep 0.2").strip()}
        agent.wait_views(guest, 2)
        for module, params in self.attacks:
            guest.insmod(module, **{key: str(value).format(**pids) for key, value in params.items()})
        guest.sh(f"meddle poke {pids['written']}")
        report = self.scan_with_agent(guest, status=1)
        self.assertEqual(report["verdict"], "compromised")
        # The agent may have measured the modules' files by now, for which nobody vouches.
        left = {(f["check"], f["object"]["name"], f["owner"] or "") for f in report["findings"]
                if (f["check"], f["object"]["name"].split("/")[1:2]) != ("process-digest", ["modules"])}
        for check, name, owner in self.found:
            pattern = name.replace("{hidden}", pids["hidden"]).replace("{written}", pids["written"])
            found = {f for f in left if f[0] == check and re.fullmatch(pattern, f[1]) and re.fullmatch(owner, f[2])}
            self.assertEqual(len(found), 1, f"{check} {pattern} {owner}: {sorted(left)}")
            left -= found
        self.assertEqual(left, set())

    def agent_is_killed(self, guest: Domain) -> None:
        guest.sh("kill -9 $(cat /tmp/agent.pid); while [ -e /proc/$(cat /tmp/agent.pid) ]; do sleep 0.1; done")
        report = self.scan_with_agent(guest, "--only", "agent-presence", status=1)
        self.assertEqual([f["check"] for f in report["findings"]], ["agent-presence"])
        self.assertEqual(report["agent"]["state"], "gone")

    def react(self, victim: Domain, kind: str, uuid: str | None = None) -> tuple[int, str]:
        """As hvsmd has it done, with its unit's rights; its status, and what was audited last."""
        answer = self.host.call(f"/tmp/unit /build/tests/vm/react /tmp/react.conf xen:{victim.id} {uuid or victim.uuid} {kind}")
        return answer.status, answer.out.decode().splitlines()[-1]

    def runs(self, victim: Domain) -> bool:
        return bool(re.search(rf"^{victim.name} .* [rb-]{{2}}----? ", self.host.sh(f"xl list {victim.name}"), re.M))

    def ended(self, number: int) -> None:
        """Xen has nothing of it any more."""
        self.assertNotRegex(self.host.sh("xl list"), rf"(?m)^\S+ +{number} ")

    def reaches(self, victim: Domain) -> bool:
        return self.host.call(f"ping -c 1 -W 3 {victim.address}").status == 0

    def test_reactions_at_a_domain(self) -> None:
        self.host.sh(f"mkdir -p -m 700 /share/dumps; printf '%s' {shlex.quote(REACTIONS)} >/tmp/react.conf; "
                     f"chmod 600 /tmp/react.conf; printf '%s' {shlex.quote(box())} >/tmp/unit; chmod 755 /tmp/unit")
        self.addCleanup(self.host.call, "rm -rf /share/dumps")
        with Domain(self.host, self.kind, "treated", network=True) as victim:
            for step in (self.at_another, self.pause, self.unlink, self.dump, self.dump_is_killed, self.poweroff):
                with self.subTest(step.__name__):
                    step(victim)

    def at_another(self, victim: Domain) -> None:
        """Its number is not enough; and what there is not fails."""
        status, said = self.react(victim, "poweroff", OTHER_UUID)
        self.assertEqual((status, said), (1, f"failed poweroff exit status 1: domain {victim.id} is another one now"))
        self.assertTrue(self.runs(victim))
        self.assertEqual(self.react(victim, "unlink", None)[0], 0)
        self.host.sh(f"ip link set vif{victim.id}.0 up")

    def pause(self, victim: Domain) -> None:
        self.assertEqual(self.react(victim, "pause"), (0, "done pause "))
        self.assertFalse(self.runs(victim))
        self.host.sh(f"xl unpause {victim.name}")
        self.assertTrue(self.runs(victim))

    def unlink(self, victim: Domain) -> None:
        self.assertTrue(self.reaches(victim))
        self.assertEqual(self.react(victim, "unlink"), (0, "done unlink 1 network interface"))
        self.assertFalse(self.reaches(victim))
        self.host.sh(f"ip link set vif{victim.id}.0 up; ip addr add 10.9.9.1/24 dev vif{victim.id}.0; true")
        self.assertTrue(self.reaches(victim))

    def dump(self, victim: Domain) -> None:
        status, said = self.react(victim, "dump")
        self.assertEqual(status, 0, said)
        self.assertTrue(self.runs(victim))
        core = self.host.shared / "dumps" / Path(said.split()[-1]).name
        done = subprocess.run([binary(), "scan", "--store", self.host.shared / "store", "--json", f"image:{core}"],
                              capture_output=True, check=False)
        report = json.loads(done.stdout)
        self.assertEqual(report["findings"], [])
        self.assertEqual(report["assurance"], "reference")
        # Nothing is recorded of the boot of an image.
        self.assertEqual({check["id"] for check in report["checks"] if check["result"] != "clean"},
                         BY_AGENT | {"ro-after-init"})
        core.unlink()

    def dump_is_killed(self, victim: Domain) -> None:
        """Whoever paused it is gone, and it goes on all the same."""
        self.host.sh(
            f"/tmp/unit /build/tests/vm/react /tmp/react.conf xen:{victim.id} {victim.uuid} dump & p=$!; "
            f"until xl list {victim.name} | grep -q -- --p; do sleep 0.05; done; "
            "kill -9 $(cat /proc/$p/task/$p/children) $p; wait $p; true")
        end = time.monotonic() + LIMIT_S
        while not self.runs(victim) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertTrue(self.runs(victim))
        self.assertEqual(self.host.sh("ls /share/dumps/*.core 2>/dev/null; true"), "")

    def poweroff(self, victim: Domain) -> None:
        self.assertEqual(self.react(victim, "poweroff"), (0, "done poweroff "))
        self.ended(victim.id)

    def daemon_guest(self) -> Any:
        """What hvsmd says of the one guest that it watches; nothing where there is none."""
        answer = self.host.call(f"HVSM_SOCKET={FOLDER}/socket /build/src/hvsm status --json")
        guests = json.loads(answer.out)["guests"] if answer.out else []
        return guests[0] if guests else {}

    def daemon_waits(self, what: str, is_so: Callable[[Any], Any]) -> Any:
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            guest = self.daemon_guest()
            if is_so(guest):
                return guest
            time.sleep(ASK_S)
        self.fail(f"{what}: {guest}\n{self.host.sh(f'cat {FOLDER}/log')}")

    def daemon(self, name: str) -> None:
        """Started, for the one guest."""
        config = CONFIG.format(folder=FOLDER, name=name)
        self.host.sh(f"rm -rf {FOLDER}; mkdir -p {FOLDER}; printf '%s' {shlex.quote(config)} >{FOLDER}/conf; "
                     f"chmod 600 {FOLDER}/conf; chmod 711 {FOLDER}; "
                     f"/build/src/hvsmd --config {FOLDER}/conf >{FOLDER}/log 2>&1 & echo $! >{FOLDER}/pid")
        self.addCleanup(self.daemon_ends)

    def daemon_ends(self) -> None:
        self.host.call(f"p=$(cat {FOLDER}/pid); kill $p; while [ -e /proc/$p ]; do sleep 0.1; done")

    def followed(self, guest: Domain) -> None:
        """It is looked at under the number that it has now, and nothing is wrong with it."""
        target = f"xen:{guest.id}"
        seen = self.daemon_waits(f"{target} is watched", lambda g: g.get("target") == target and
                                 g["state"] == "watched" and g["sweeps"] > 0)
        self.assertEqual(seen["open_findings"], 0, seen)

    def nothing_was_ever_found(self) -> None:
        """In no sweep: also what was open for a moment is in the ledger."""
        out = self.host.sh(f"/build/src/hvsm report findings --ledger {FOLDER}/state/reports --json")
        self.assertEqual([json.loads(line)["items"] for line in out.splitlines()], [[]])

    def test_daemon_follows_reboot_save_migration_and_crash(self) -> None:
        self.daemon("alive")
        with Domain(self.host, self.kind, "alive", reboot="restart", kernel=self.kernel) as alive:
            self.followed(alive)
            first = alive.id
            alive.send("reboot -f")
            alive.wait_next()
            self.assertNotEqual(alive.id, first)
            self.followed(alive)
            for move in self.moves:
                before = alive.id
                move(alive)
                self.assertNotEqual(alive.id, before)
                self.ended(before)
                self.followed(alive)
            alive.send("echo c >/proc/sysrq-trigger")
            seen = self.daemon_waits("it stands", lambda g: g.get("state") == "paused")
            self.assertEqual(seen["open_findings"], 0, seen)
            self.assertRegex(self.host.sh(f"xl list {alive.name}"), r" -*sc-* ")
        self.daemon_waits("gone", lambda g: not g)
        self.assertNotIn(" alive ", self.host.sh("xl list"))
        self.nothing_was_ever_found()

    def test_daemon_finds_nothing_in_one_that_is_destroyed_in_mid_sweep(self) -> None:
        self.daemon("brief")
        with Domain(self.host, self.kind, "brief") as brief:
            # Its first sweep is the one of all checks, which takes longest.
            self.daemon_waits("attached", lambda g: g.get("state") == "watched")
            self.host.sh(f"xl destroy {brief.id}")
        self.daemon_waits("gone", lambda g: not g)
        self.ended(brief.id)
        self.nothing_was_ever_found()
        self.assertNotIn("broke the protocol", self.host.sh(f"cat {FOLDER}/log"))

    def test_daemon_watches_it_reacts_and_follows_until_it_ends(self) -> None:
        self.daemon("watched")
        with Domain(self.host, self.kind, "watched", network=True) as watched:
            guest = self.daemon_waits("watched", lambda g: g.get("state") == "watched" and g["sweeps"] > 0)
            self.assertEqual(guest["target"], f"xen:{watched.id}")
            self.assertEqual(guest["open_findings"], 0, guest)
            watched.insmod("hook_syscall64", nr=39)
            self.daemon_waits("compromised", lambda g: g.get("verdict") == "compromised")
            # Reactions: it is cut off, and stands; what it is paused for stays open.
            self.daemon_waits("paused", lambda g: g.get("state") == "paused")
            self.assertFalse(self.runs(watched))
            self.assertFalse(self.reaches(watched))
            self.host.sh(f"xl unpause {watched.name}")
            self.daemon_waits("watched again", lambda g: g.get("state") == "watched" and g["open_findings"])
            self.assertTrue(self.runs(watched))
        self.daemon_waits("gone", lambda g: not g)
        self.ended(watched.id)
        self.assertNotIn("broke the protocol", self.host.sh(f"cat {FOLDER}/log"))


def known(host: XenHost, kernel: Kernel, *programs: Path) -> None:
    """Into the store: a kernel and its one module that guests load, and programs."""
    for what in (("reference", "add", *kernel.debs),
                 ("trust", "add", next(kernel.modules.rglob("overlay.ko*")), *programs)):
        subprocess.run([binary(), *what, "--store", host.shared / "store"], check=True, stdout=subprocess.DEVNULL)


_HOST: XenHost | None = None


def shared_host() -> XenHost:
    """The one host, with a store that has its guests' kernel."""
    global _HOST
    if not _HOST:
        host = XenHost()
        host.__enter__()
        unittest.addModuleCleanup(host.stop)
        known(host, host.kernel, busybox(), agent.built(), HERE / "domu-init", *programs().values())
        _HOST = host
    return _HOST
