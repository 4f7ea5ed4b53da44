"""What Xen tells of a guest as it happens, and that no guest stands still when hvsmd is gone."""

from __future__ import annotations

import json

from daemon import EVENTS, Daemon
from domains import GuestTest
from xenlab import Domain


class Events(GuestTest):
    """Of a guest that Xen tells something of: PVH, HVM."""

    def marks(self) -> str:
        """Who holds which domain's ring."""
        return self.host.call("xenstore-list /tool/hvsm/monitor").out.decode().strip()

    def holder(self) -> str:
        """… and by which process."""
        return self.host.call(f"xenstore-read /tool/hvsm/monitor/{self.guest.id}").out.decode().strip()

    def changes_registers(self, guest: Domain, times: int) -> None:
        """More of it than a ring has places for."""
        guest.sh(f"for i in $(seq {times}); do insmod /modules/control_register.ko how=wp && "
                 "rmmod control_register; done", 60)

    def test_events_are_told_to_the_one_who_wants_them(self) -> None:
        name = self.guest.name
        with Daemon(self.host, "on", name, EVENTS) as on:
            on.says(f"Xen tells what happens in {name}")
            self.assertEqual(self.marks(), str(self.guest.id))
            # Nobody, and without a right but for what it had opened.
            status = self.host.sh("cat /proc/$(pidof hvsmd-xen)/status")
            self.assertRegex(status, r"Uid:\s+(?!0\b)(\d+)\s+\1\s+\1\s+\1")
            self.assertRegex(status, r"CapEff:\s+0+\n")
            self.host.sh("HVSM_SOCKET=/tmp/on/socket /build/src/hvsm watch --json --only register-write >/tmp/on/told "
                         "2>&1 & echo $! >/tmp/on/watch; sleep 2")
            self.guest.insmod("control_register", how="wp")
            told = on.waits("told", lambda: self.host.sh("cat /tmp/on/told").splitlines())
            event = json.loads(told[0])
            self.assertEqual((event["guest"]["name"], event["event"]), (name, "register-write"))
            self.assertEqual(event["object"]["register"], "CR0")
            before, after = (int(event["object"][key], 16) for key in ("before", "after"))
            self.assertEqual(before ^ after, 1 << 16)
            self.assertTrue(before & 1 << 16)
            on.says("CR0.WP is off")
            self.guest.rmmod("control_register")
            self.host.sh("kill $(cat /tmp/on/watch)")
            # A second one that wants them is told why not, and the first one keeps them.
            with Daemon(self.host, "second", name, EVENTS) as second:
                second.says(f"Xen tells no events of {name}: another program has the domain's monitor ring")
            self.changes_registers(self.guest, 10)
            self.assertEqual(self.marks(), str(self.guest.id))
            # Who does it all the time is not listened to, and does not wait for anybody.
            self.guest.insmod("control_register", how="wp", times=300)
            self.guest.rmmod("control_register")
            on.says(f"Xen tells no events of {name}: it changes them too often")
            self.assertEqual(self.marks(), "")
        self.assertEqual(self.marks(), "")
        self.changes_registers(self.guest, 10)

    def test_events_end_with_hvsmd_and_the_guest_goes_on(self) -> None:
        with Daemon(self.host, "killed", self.guest.name, EVENTS) as killed:
            killed.says("Xen tells what happens")
            # Who holds the ring alone: the next one takes it over.
            before = self.holder()
            self.host.sh("kill -9 $(pidof hvsmd-xen)")
            killed.waits("taken over", lambda: self.holder() not in ("", before))
            self.changes_registers(self.guest, 10)
            killed.kill()
            killed.waits("given back", lambda: not self.marks())
            self.changes_registers(self.guest, 10)

    def test_ring_that_was_left_is_given_back_where_no_events_are_wanted(self) -> None:
        """Both were killed, and the guest stands: until there is a hvsmd again, whatever it wants."""
        with Daemon(self.host, "left", self.guest.name, EVENTS) as left:
            left.says("Xen tells what happens")
            left.kill("hvsmd-xen")
        self.assertEqual(self.marks(), str(self.guest.id))
        self.guest.send("for i in 1 2 3 4 5 6 7 8 9 10; do insmod /modules/control_register.ko how=wp; "
                        "rmmod control_register; done; echo it goes on >/tmp/on")
        with Daemon(self.host, "next", self.guest.name) as later:
            later.says(f"xen:{self.guest.id} had lost who read its monitor ring")
            self.assertEqual(self.guest.sh("while [ ! -e /tmp/on ]; do sleep 0.1; done; cat /tmp/on"), "it goes on\n")
            # Nobody wants events, so there is none to hold a ring.
            later.waits("swept", lambda: later.guest().get("sweeps"))
            self.assertEqual(self.host.call("pidof hvsmd-xen").status, 1)
        self.assertEqual(self.marks(), "")

    def test_events_of_a_domain_that_ends_leave_nothing(self) -> None:
        with Domain(self.host, self.guest.kind, "brief") as brief, Daemon(self.host, "brief", "brief", EVENTS) as daemon:
            daemon.says("Xen tells what happens")
            self.host.sh("xl destroy brief")
            daemon.loses_it()
            daemon.waits("given back", lambda: not self.marks())
            self.assertNotRegex(self.host.sh("xl list"), rf"(?m)^\S+ +{brief.id} ")
