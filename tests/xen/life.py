"""Domains that live and end, as hvsmd follows them: rebooted, saved, moved, crashed, paused by it, destroyed."""

from __future__ import annotations

from typing import Any, Callable

from daemon import REACTS, Daemon
from domains import STORE, XenTest
from xenlab import Domain


class Life(XenTest):
    moves: tuple[Callable[[Domain], None], ...] = (Domain.save_and_restore, Domain.migrate)

    def test_saved_or_destroyed_in_mid_sweep_it_ends_and_is_no_zombie(self) -> None:
        """Who read it then has found nothing, and ends or goes on."""
        with Domain(self.host, self.kind, "victim") as victim:
            was = victim.id
            self.ends_in_mid_scan(victim, 2, victim.save_and_restore)
            self.ended(was)
            with Daemon(self.host, "brief", victim.name) as daemon:
                # Its first sweep is the one of all checks, which takes longest: it is at it still.
                daemon.sees("attached", lambda guest: guest["state"] == "watched")
                self.ends_in_mid_scan(victim, 0.3, lambda: self.host.sh(f"xl destroy {victim.id}"))
                daemon.loses_it()
                self.ended(victim.id)
                daemon.never_found_anything()

    def ends_in_mid_scan(self, victim: Domain, after_s: float, end: Callable[[], Any]) -> None:
        was = victim.id
        self.host.sh("rm -f /tmp/status; (exec >/dev/null 2>/tmp/err; "
                     f"/build/src/hvsm scan xen:{was} --store {STORE}; echo $? >/tmp/status) & sleep {after_s}")
        end()
        status = self.host.sh("until [ -s /tmp/status ]; do sleep 0.1; done; cat /tmp/status").strip()
        # 0: it was quicker.
        self.assertIn(status, ("0", "2", "3"), self.host.sh("cat /tmp/err"))

    def test_daemon_follows_reboot_save_migration_and_crash(self) -> None:
        with Daemon(self.host, "follows", "alive") as daemon:
            with Domain(self.host, self.kind, "alive", reboot="restart", kernel=self.kernel) as alive:
                daemon.follows(alive)
                first = alive.id
                alive.send("reboot -f")
                alive.wait_next()
                self.assertNotEqual(alive.id, first)
                daemon.follows(alive)
                for move in self.moves:
                    before = alive.id
                    move(alive)
                    self.assertNotEqual(alive.id, before)
                    self.ended(before)
                    daemon.follows(alive)
                alive.send("echo c >/proc/sysrq-trigger")
                seen = daemon.sees("it stands", lambda guest: guest["state"] == "paused")
                self.assertEqual(seen["open_findings"], 0, seen)
                self.assertRegex(self.host.sh(f"xl list {alive.name}"), r" -*sc-* ")
            daemon.loses_it()
            self.assertNotIn(" alive ", self.host.sh("xl list"))
            daemon.never_found_anything()

    def test_daemon_watches_it_reacts_and_follows_until_it_ends(self) -> None:
        with Daemon(self.host, "reacts", "watched", REACTS) as daemon:
            with Domain(self.host, self.kind, "watched", network=True) as watched:
                daemon.follows(watched)
                watched.insmod("hook_syscall64", nr=39)
                daemon.sees("compromised", lambda guest: guest["verdict"] == "compromised")
                # Reactions: it is cut off, and stands; what it is paused for stays open.
                daemon.sees("paused", lambda guest: guest["state"] == "paused")
                self.assertFalse(self.runs(watched))
                self.assertFalse(self.reaches(watched))
                self.host.sh(f"xl unpause {watched.name}")
                daemon.sees("watched again", lambda guest: guest["state"] == "watched" and guest["open_findings"])
                self.assertTrue(self.runs(watched))
            daemon.loses_it()
            self.ended(watched.id)
            self.assertNotIn("broke the protocol", daemon.log)
