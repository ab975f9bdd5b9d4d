--[[
Put the archived stubs of erased turns in the place of their events in the stream of a session.

An entry of a stream cannot be changed, so the stream is written anew: the same IDs, the same
event_ids and times, in the same order, whatever was appended meanwhile included.

KEYS  1 heads  2 stream  3 live  4 copy      as in append.lua; live: the deltas of turns in flight;
                                              copy: holds the new stream while it is written

ARGV  1 session       <tenant>:<session>
      2 archived_seq  seq of the last archived event
      3 archived_id   its event_id
      4 archived_t    its recorded_at
      5.. three a stub, by seq: seq, event_id, bytes

Returns {how many entries became stubs}
      or an error reply, nothing written:
      STALE <session>: Redis does not hold what the archive does; heal the session first
]]
local heads, stream, live, copy = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local session, archived_seq = ARGV[1], tonumber(ARGV[2])

local CHUNK = 500

local function int(number)
  return string.format('%.0f', number)
end

local function stale()
  return redis.error_reply('STALE ' .. session)
end

local function at(seq)
  local entry = redis.call('XRANGE', stream, int(seq) .. '-0', int(seq) .. '-0')[1]
  return entry and entry[2]
end

local head = redis.call('HGET', heads, session)
if not head then return stale() end
local a, b, _, last_id = string.match(head, '^(%d+) (%d+) (%d+) (%S+) ')
local seq, base = tonumber(a), tonumber(b)
if seq < archived_seq or redis.call('XLEN', stream) ~= seq - base then return stale() end
if archived_seq > base then
  local entry = at(archived_seq)
  if not entry or entry[4] ~= ARGV[3] or entry[6] ~= ARGV[4] then return stale() end
elseif seq == archived_seq and last_id ~= ARGV[3] then
  return stale()
end

local stubs, changed = {}, 0
for i = 5, #ARGV, 3 do
  local place = tonumber(ARGV[i])
  if place > base then
    local entry = at(place)
    if not entry or entry[4] ~= ARGV[i + 1] then return stale() end
    if entry[2] ~= ARGV[i + 2] then
      stubs[place] = ARGV[i + 2]
      changed = changed + 1
    end
  end
end
redis.call('DEL', live)
if changed == 0 then return {0} end

redis.call('DEL', copy)
local from = '-'
while true do
  local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', CHUNK)
  for _, entry in ipairs(entries) do
    local place = tonumber(string.match(entry[1], '^%d+'))
    local fields = entry[2]
    if stubs[place] then fields[2] = stubs[place] end
    redis.call('XADD', copy, entry[1], unpack(fields))
  end
  if #entries < CHUNK then break end
  from = '(' .. entries[#entries][1]
end
redis.call('RENAME', copy, stream)
return {changed}
