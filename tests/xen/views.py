"""What hvsm sees of a guest is what the guest says of itself; untouched it is clean, and the scanner has no rights."""

from __future__ import annotations

import json
import re
from typing import Any

from domains import BY_AGENT, STORE, GuestTest


class Views(GuestTest):
    """Of a guest of each kind that can be attached."""

    def ps(self) -> dict[int, str]:
        """As the guest's own /proc has it; what ended while it was read is left out."""
        out = self.guest.sh("for d in /proc/[0-9]*; do cat $d/stat 2>/dev/null; done; true")
        # A kernel thread's whole name is longer than the comm that it has.
        return {int(m[1]): m[2][:15] for m in re.finditer(r"^(\d+) \((.*)\) [A-Z] ", out, re.M)}

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
        if self.kind == "pv":       # its registers and tables are Xen's; what it told Xen is in their place
            self.assertEqual(results["xen-callbacks"]["covered"]["callbacks"], 3)
            self.assertGreaterEqual(results["xen-callbacks"]["covered"]["traps"], 20)
            self.assertIn("Xen's", results["control-registers"]["reason"])
            self.assertGreater(results["kernel-code"]["covered"]["KiB of code"], 8000)
            return
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
        self.assertEqual(self.scan("--only", "syscall-table,hidden-task", status=3)["verdict"], "inconclusive")
