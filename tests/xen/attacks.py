"""What modules do in a guest is found, and what an agent in it is for."""

from __future__ import annotations

import json
import re
from typing import Any

from domains import STORE, GuestTest, XenTest
from xenlab import Domain

from lab import agent
from lab.product import findings

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


class Alone(GuestTest):
    """One thing at a time, where little time is taken for a guest's kind."""

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


class AtOnce(XenTest):
    """Much at once, in a domain of its own, whose programs are known."""

    done = ATTACKS
    found = FOUND

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
        for module, params in self.done:
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
