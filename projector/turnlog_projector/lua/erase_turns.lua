--[[
Put the archived stubs of erased turns in the place of their events in the stream of a session.

An entry of a stream cannot be changed, so the stream is written anew: the same IDs, event_ids and
times in the same order, whatever was appended meanwhile included. A long one is copied in several
calls, so that nobody waits for long; until the last of them the stream stays as it was.

KEYS  1 heads  2 stream  3 live  4 copy  5 token   as in append.lua; live: the deltas of turns in
                                                   flight; copy: the new stream so far; token: of
                                                   which stubs it is. Both go by themselves when
                                                   nobody goes on

ARGV  1 session       <tenant>:<session>
      2 archived_seq  seq of the last archived event
      3 archived_id   its event_id
      4 archived_t    its recorded_at
      5 count         how many archived entries to copy in this call
      6 token         names the set of stubs: a copy with others is of no use
      7.. three a stub, by seq: seq, event_id, bytes

Returns {1 when the stream is the new one now, else 0}
      or an error reply, the stream as it was:
      STALE <session>: Redis does not hold what the archive does; heal the session first
]]
local heads, stream, live, copy, token = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local session, archived_seq, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])

local AT_ONCE = 10 -- an entry may have 1 MiB, and a script must not hold many of them
local COPY_MS = 60000

local function int(number)
  return string.format('%.0f', number)
end

local function seq_of(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end

local function holds(seq, event_id, t)
  local entry = redis.call('XRANGE', stream, int(seq) .. '-0', int(seq) .. '-0')[1]
  return entry and entry[2][4] == event_id and entry[2][6] == t
end

local function is_stale()
  local head = redis.call('HGET', heads, session)
  if not head then return true end
  local a, b, _, last_id = string.match(head, '^(%d+) (%d+) (%d+) (%S+) ')
  local seq, base = tonumber(a), tonumber(b)
  if seq < archived_seq or redis.call('XLEN', stream) ~= seq - base then return true end
  if archived_seq > base then
    if not holds(archived_seq, ARGV[3], ARGV[4]) then return true end
  elseif seq == archived_seq and last_id ~= ARGV[3] then
    return true
  end
  return false, base
end

local function stale()
  redis.call('DEL', copy, token)
  return redis.error_reply('STALE ' .. session)
end

local is_stale, base = is_stale()
if is_stale then return stale() end

local stubs = {}
for i = 7, #ARGV, 3 do stubs[ARGV[i] .. '-0'] = i end

if redis.call('GET', token) ~= ARGV[6] then redis.call('DEL', copy) end
-- What was trimmed from the stream meanwhile goes from the copy as well.
redis.call('XTRIM', copy, 'MINID', '=', int(base + 1) .. '-0')
local first = redis.call('XRANGE', copy, '-', '+', 'COUNT', 1)[1]
if first and seq_of(first) ~= base + 1 then redis.call('DEL', copy) end
local newest = redis.call('XREVRANGE', copy, '+', '-', 'COUNT', 1)[1]
local last = newest and seq_of(newest) or base
local upto = math.min(last + count, archived_seq)
if upto >= archived_seq then upto = math.huge end -- and what is not archived yet, all at once

while last < upto do
  local wanted = math.min(AT_ONCE, upto - last)
  local entries = redis.call('XRANGE', stream, int(last + 1) .. '-0', '+', 'COUNT', int(wanted))
  for _, entry in ipairs(entries) do
    local fields, at = entry[2], stubs[entry[1]]
    if at then
      if fields[4] ~= ARGV[at + 1] then return stale() end
      fields[2] = ARGV[at + 2]
    end
    redis.call('XADD', copy, entry[1], unpack(fields))
    last = seq_of(entry)
  end
  if #entries < wanted then break end
end
if upto < math.huge then
  redis.call('PEXPIRE', copy, COPY_MS)
  redis.call('SET', token, ARGV[6], 'PX', COPY_MS)
  return {0}
end
redis.call('DEL', live, token)
if redis.call('EXISTS', copy) == 1 then
  redis.call('PERSIST', copy)
  redis.call('RENAME', copy, stream)
end
return {1}
