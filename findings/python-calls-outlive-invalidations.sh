#!/usr/bin/env bash
# Two Python caches, and an invalidation of many keys while one of them is being computed.
# Guess: dogpile.cache compares a value's creation time with the region's invalidation, and cashews keeps tags beside values, so a value that was read
# before the invalidation is not served after it.
# Seen (dogpile.cache 1.4.1, cashews 7.6.0): it is served until its time is up. dogpile.cache notes the creation time when the creator returns, which is
# after the invalidation, hard or soft; cashews writes the value under a tag that has already been deleted.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/v"
"$dir/v/bin/pip" --quiet install dogpile.cache==1.4.1 cashews==7.6.0
cat >"$dir/probe.py" <<'PY'
import asyncio, sys, threading
from cashews import Cache
from dogpile.cache import make_region

failures = []

def expect(what, seen, wanted):
    print(f"{what}: {seen}")
    if seen != wanted:
        failures.append(f"{what}: expected {wanted}")

def dogpile(hard):
    region = make_region().configure("dogpile.cache.memory")
    row, begun, go_on = {"value": "old"}, threading.Event(), threading.Event()

    def create():
        value = row["value"]
        begun.set()
        go_on.wait()
        return value

    call = threading.Thread(target=lambda: region.get_or_create("k", create, expiration_time=3600))
    call.start()
    begun.wait()
    row["value"] = "new"
    region.invalidate(hard=hard)
    go_on.set()
    call.join()
    return region.get_or_create("k", lambda: row["value"], expiration_time=3600)

async def cashews():
    cache = Cache()
    cache.setup("mem://")
    row, begun, go_on = {"value": "old"}, asyncio.Event(), asyncio.Event()

    @cache(ttl=3600, key="k", tags=["t"])
    async def call():
        value = row["value"]
        begun.set()
        await go_on.wait()
        return value

    first = asyncio.create_task(call())
    await begun.wait()
    row["value"] = "new"
    await cache.delete_tags("t")
    go_on.set()
    await first
    return await call()

expect("dogpile.cache after a hard invalidation of the region", dogpile(True), "old")
expect("dogpile.cache after a soft one", dogpile(False), "old")
expect("cashews after the tag was deleted", asyncio.run(cashews()), "old")
for failure in failures:
    print("CHANGED:", failure)
sys.exit(bool(failures))
PY
"$dir/v/bin/python" "$dir/probe.py"
