-- head: 2 | 8 lineage | 8 id | 8 seq | 8 floor | 8 server mark | 1 n | n entries of the tail; numbers big-endian and
-- below 2^53. The tail is of no concern here and is carried along as it is. An answer tells of a head all that comes
-- before its tail.
local function number(n) return struct.pack('>I8', n) end
local function head_of(lineage, id, seq, floor, rest)
  return '\2' .. lineage .. id .. struct.pack('>I8I8', seq, floor) .. rest
end
local function told(head) return head:sub(1, 41) end
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
-- the version of a record if it is alive, else 0
local function version_of(record, lineage, floor)
  if not record or record:byte(1) ~= 2 or record:sub(2, 9) ~= lineage then return 0 end
  local version = struct.unpack('>I8', record, 10)
  if version <= floor then return 0 end
  return version
end
-- Barriers of one kind lie in a sorted set, their numbers being the scores. An entry that no barrier can be names the
-- lineage, and the floor: what is not in the set counts as raised there. It comes first of all, so that a set without it
-- was lost, and what was raised is not known any more.
local function floor_entry(lineage) return '\0' .. lineage end
-- the floor; where the set was lost, it is made anew with the number that is given
local function floor_of(barriers, lineage, seq)
  local floor = redis.pcall('ZSCORE', barriers, floor_entry(lineage))
  if type(floor) == 'string' then return tonumber(floor) end
  -- Deleting is never refused for want of memory, and what comes after it in the same step is not either.
  redis.pcall('DEL', barriers)
  redis.pcall('ZADD', barriers, seq, floor_entry(lineage))
  return seq
end
-- whether a lease stands: it was given in this lineage, after the newest flush
local function stands(lease, lineage, floor)
  return lease and lease:byte(1) == 2 and lease:sub(2, 9) == lineage and struct.unpack('>I8', lease, 18) > floor
end
