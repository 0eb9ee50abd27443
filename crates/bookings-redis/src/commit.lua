-- Writes what was decided, all of it or nothing: nothing when a GPU or the request's key is no longer what it was decided over.
--
-- KEYS: gpus, bookings, standing, answers, ages, deadlines, over, log, head. ARGV: the number of GPUs, and for each its name,
-- the record that was seen ('' for none) and the new one; the field of the answer ('' for no answer), the answer that was
-- seen there, the new one, and when it was decided; the number of bookings, and for each its name, 'new' or 'known', the
-- booking, its member of the standing ones, 'stands' or 'gone', when it lapses or '', and when it is over; how many changes
-- the log keeps about, and the changes. Answer: 1 when it was written.
local position = 0
local function take()
    position = position + 1
    return ARGV[position]
end
local function is(key, field, seen)
    return (redis.call('HGET', key, field) or '') == seen
end

-- Everything is looked at before anything is written: a script that fails is not undone.
local gpus = {}
for index = 1, tonumber(take()) do
    local gpu, seen, record = take(), take(), take()
    if not is(KEYS[1], gpu, seen) then
        return 0
    end
    gpus[index] = {gpu, record}
end
local answer_field, answer_seen, answer, decided = take(), take(), take(), take()
if answer_field ~= '' and not is(KEYS[4], answer_field, answer_seen) then
    return 0
end
local bookings = {}
for index = 1, tonumber(take()) do
    local id, age, booking, member, standing, lapses, over = take(), take(), take(), take(), take(), take(), take()
    if age == 'new' and redis.call('HEXISTS', KEYS[2], id) == 1 then
        return 0
    end
    bookings[index] = {id, booking, member, standing, lapses, over}
end

for _, gpu in ipairs(gpus) do
    redis.call('HSET', KEYS[1], gpu[1], gpu[2])
end
if answer_field ~= '' then
    redis.call('HSET', KEYS[4], answer_field, answer)
    redis.call('ZADD', KEYS[5], decided, answer_field)
end
for _, written in ipairs(bookings) do
    local id, booking, member, standing, lapses, over = unpack(written)
    redis.call('HSET', KEYS[2], id, booking)
    if standing == 'stands' then
        redis.call('ZADD', KEYS[3], 0, member)
    else
        redis.call('ZREM', KEYS[3], member)
    end
    if lapses == '' then
        redis.call('ZREM', KEYS[6], id)
    else
        redis.call('ZADD', KEYS[6], lapses, id)
    end
    redis.call('ZADD', KEYS[7], over, id)
end
local kept = take()
while position < #ARGV do
    local cursor = string.format('%.0f-0', redis.call('HINCRBY', KEYS[9], 'appended', 1))
    redis.call('XADD', KEYS[8], 'MAXLEN', '~', kept, cursor, 'c', take())
end
return 1
