-- KEYS head, record, lease   ARGV lineage, token, life in ms ('' = give the lease back), body
local head = redis.call('GET', KEYS[1])
if not head then return 'N' end
if head:byte(1) ~= 1 then return 'F' end
local lineage = ARGV[1]
if head:sub(2, 9) ~= lineage then return 'L' .. head end
local seq, floor = struct.unpack('>I8I8', head, 18)
local lease = redis.call('GET', KEYS[3])
if not stands(lease, lineage, floor) or lease:sub(9, 16) ~= ARGV[2] then return 'X' .. head end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[3])
  return 'R' .. head
end
local expires = now() + tonumber(ARGV[3])
redis.call('SET', KEYS[2], '\1' .. lineage .. struct.pack('>I8I8', seq, expires) .. ARGV[4], 'PX', ARGV[3])
redis.call('DEL', KEYS[3])
return 'S' .. head .. number(expires)
