# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Programs that ask a system for transactions while its ultravisor is killed,
and are killed with it: what has to come of each, beside what has."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import ultravisor

HERE = pathlib.Path(__file__).parent


class Client:
    """One of them, as it tells of itself."""

    def __init__(self, host, name, seed):
        self.name = name
        self.channel, admission = host.admit()
        self.program = subprocess.Popen(
            [sys.executable, HERE / "kill_client.py", str(admission), name,
             str(seed), HERE.parent / "formats"], pass_fds=[admission],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.close(admission)
        os.set_blocking(self.program.stdout.fileno(), False)
        self.text = b""
        self.asked = self.answered = (0, 0, 0)  # partition, pages, turn
        self.revision, self.held = 0, False

    def hear(self):
        self.text += self.program.stdout.read() or b""
        *lines, self.text = self.text.split(b"\n")
        for line in lines:
            word, *numbers = line.split()
            if word == b"held":
                self.held = True
                continue
            state = tuple(int(n) for n in numbers[:3])
            if word == b"asked":
                self.asked = state
            else:
                self.answered, revision = state, int(numbers[3])
                assert revision > self.revision, "revisions go up"
                self.revision = revision

    def say(self, word):
        self.program.stdin.write(word + b"\n")
        self.program.stdin.flush()

    def end(self):
        self.program.stdin.close()
        self.program.stdout.close()
        return self.program.wait()


class Clients:
    """So many at a time; one that is killed has an heir of another name."""

    def __init__(self, test, host, chance, count):
        self.test, self.host, self.chance = test, host, chance
        self.number, self.turns, self.killed = 0, 0, 0
        self.clients = [self.start() for _ in range(count)]

    def start(self):
        self.number += 1
        return Client(self.host, f"client-{self.number}",
                      self.chance.randrange(1 << 32))

    def hear(self):
        for client in self.clients:
            client.hear()
            self.test.assertIsNone(client.program.poll(),
                                   f"{client.name} has ended")

    def victim(self):
        """One of them, to be killed; it is not heard before lost() is."""
        return self.clients.pop(self.chance.randrange(len(self.clients)))

    def lost(self, client):
        """It is dead: nothing that it asked for is under way any more, when
        its channel is gone."""
        client.program.wait()
        client.hear()
        client.end()
        self.test.until(self.host, lambda: client.channel not in {
            c["id"] for c in self.host.query("channels")})
        self.killed += 1
        self.check([client])
        self.destroy([client])
        self.turns += client.answered[2]
        self.clients.append(self.start())

    def found(self):
        """Their partitions."""
        return [ultravisor.Partition(self.host, p["id"], p["name"])
                for p in self.host.query("partitions")
                if p["name"].startswith("client-")]

    def destroy(self, clients):
        names = {client.name for client in clients}
        with self.host.transaction() as t:
            for partition in self.found():
                if partition.name in names:
                    t.destroy(partition)

    def hold(self):
        """Each is between two transactions."""
        for client in self.clients:
            client.held = False
            client.say(b"hold")
        self.test.until(self.host, lambda: self.hear() or all(
            c.held for c in self.clients))
        for client in self.clients:
            self.test.assertEqual(client.asked, client.answered)

    def go(self):
        for client in self.clients:
            client.say(b"go")

    def check(self, clients):
        """What was answered is there, once; what was asked for and not
        answered is, or is not: all of it."""
        said = json.loads(self.host.export())
        for client in clients:
            self.test.assertIn(self.state(said, client.name),
                               {client.answered, client.asked}, client.name)

    def state(self, said, name):
        found = [p for p in said["partitions"] if p["name"] == name]
        if not found:
            return (0, 0, 0)
        self.test.assertEqual(len(found), 1)
        number = found[0]["id"]
        labels = {label["key"]: int(label["value"])
                  for label in said["labels"] if label["object"] == number}
        pages = [e["bytes"] for e in said["extents"]
                 if e["partition"] == number]
        self.test.assertEqual(set(labels), {"turn", "twin"})
        self.test.assertEqual(labels["turn"], labels["twin"])
        self.test.assertEqual(set(pages) - {4096}, set())
        return (number, len(pages), labels["turn"])

    def check_all(self):
        self.hold()
        self.check(self.clients)
        self.test.assertLessEqual({p.name for p in self.found()},
                                  {c.name for c in self.clients})
        self.go()

    def end(self):
        """They leave, and so do their partitions."""
        self.hold()
        self.check(self.clients)
        for client in self.clients:
            self.turns += client.answered[2]
            self.test.assertEqual(client.end(), 0)
        self.destroy(self.clients)

    def kill_all(self):
        """Whatever the test has come to."""
        for client in self.clients:
            client.program.send_signal(signal.SIGKILL)
            client.end()
