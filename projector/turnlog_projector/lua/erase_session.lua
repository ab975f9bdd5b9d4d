--[[
Remove what Redis holds of an erased session, all but its head: the tombstone.

KEYS  1 heads  2 stream  3 ids  4 live  5 copy  6 token      as in append.lua and erase_turns.lua

ARGV  1 session       <tenant>:<session>
      2 archived_seq  seq of the last archived event
      3 archived_id   its event_id
      4 archived_t    its recorded_at

Returns {1 when something was removed, 0 when nothing was left}
      or an error reply, nothing written:
      STALE <session>: Redis is not where the archive is; heal the session first

The head stays at its seq, cold and without an owner, and refuses every append from then on.
]]
local heads = KEYS[1]
local session, archived_seq, archived_id, archived_t = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local head = redis.call('HGET', heads, session)
local seq, t, last_id, flags
if head then seq, t, last_id, flags = string.match(head, '^(%d+) %d+ (%d+) (%S+) (%S+) .*$') end
if seq ~= archived_seq or last_id ~= archived_id or t ~= archived_t then
  return redis.error_reply('STALE ' .. session)
end
flags = string.gsub(flags, '[-ec]', '') .. 'ec'
local bare = seq .. ' ' .. seq .. ' ' .. t .. ' ' .. last_id .. ' ' .. flags .. ' '
-- What frees memory comes first: so a Redis that is full still takes the HSET.
local removed = redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
if head ~= bare then redis.call('HSET', heads, session, bare) end
return {(removed > 0 or head ~= bare) and 1 or 0}
