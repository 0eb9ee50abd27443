#!/usr/bin/env bash
# The replication id of a master that nothing happened to.
# Guess: `master_replid` names the master's data set; it changes with a promotion, a restart or a full copy from another master.
# Seen (Redis 6.2.14 and 8.2.3, Valkey 9.1.2): it changes when the first replica attaches, and again when the last one has been away for
# `repl-backlog-ttl`, each time without a trace in `master_replid2` and with the same `run_id`. The second replica changes nothing. Whoever takes
# it for the identity of the data sees another server where there is none.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/three_servers.bash"
probe <<'PY'
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
