--[[
Trim the oldest events of one session, which the archive holds, from Redis: stream entries and ids.

KEYS  1 heads  2 stream  3 ids      as in append.lua

ARGV  1 session   <tenant>:<session>
      2 base      of the head when the archive was asked
      3 seq       of the head then, if nothing must have come since; '' = do not ask
      4 t         recorded_at of the last event to trim, as archived
      5.. the archived event_ids of the events to trim: seqs base + 1, base + 2, ...

Returns {trimmed, 1 when nothing is left in Redis but the head, else 0}; {0, 0} when the session has
      changed meanwhile
      or an error reply, nothing written:
      LOST    <session>: stream, ids and head disagree
      DIFFERS <session> at <seq>: Redis holds another event than the archive

A session that has nothing left is cold: base = seq, and the flag c until the next append.
]]
local heads, stream, ids = KEYS[1], KEYS[2], KEYS[3]
local session = ARGV[1]

local function int(number)
  return string.format('%.0f', number)
end

local head = redis.call('HGET', heads, session)
if not head then return {0, 0} end
local a, b, t, last_id, flags, owner = string.match(head, '^(%d+) (%d+) (%d+) (%S+) (%S+) (.*)$')
local seq, base = tonumber(a), tonumber(b)
if base ~= tonumber(ARGV[2]) or (ARGV[3] ~= '' and seq ~= tonumber(ARGV[3])) then return {0, 0} end

local names = {}
for i = 5, #ARGV do names[i - 4] = ARGV[i] end
local upto = base + #names
local length = redis.call('XLEN', stream)
if length ~= seq - base or length ~= redis.call('HLEN', ids) then
  return redis.error_reply('LOST ' .. session)
end
if upto > seq then
  return redis.error_reply('DIFFERS ' .. session .. ' at ' .. int(seq + 1))
end
-- Each id stands for a whole entry, so the bytes of the entries need not be read.
local known = redis.call('HMGET', ids, unpack(names))
for i = 1, #names do
  if tonumber(known[i] or -1) ~= base + i then
    return redis.error_reply('DIFFERS ' .. session .. ' at ' .. int(base + i))
  end
end
local entry = redis.call('XRANGE', stream, int(upto) .. '-0', int(upto) .. '-0')[1]
if not entry or entry[2][4] ~= names[#names] or entry[2][6] ~= ARGV[4] then
  return redis.error_reply('DIFFERS ' .. session .. ' at ' .. int(upto))
end

-- What frees memory comes first: so a Redis that is full still takes the HSET.
local cold = upto == seq
if cold then
  redis.call('UNLINK', stream, ids)
  if not string.find(flags, 'c', 1, true) then flags = flags == '-' and 'c' or flags .. 'c' end
else
  redis.call('XTRIM', stream, 'MINID', '=', int(upto + 1) .. '-0')
  redis.call('HDEL', ids, unpack(names))
end
redis.call('HSET', heads, session,
  a .. ' ' .. int(upto) .. ' ' .. t .. ' ' .. last_id .. ' ' .. flags .. ' ' .. owner)
return {#names, cold and 1 or 0}
