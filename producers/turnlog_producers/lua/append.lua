--[[
Append the events of one call to one session: all of them, or none.

KEYS  1 heads   hash    {tl:p}:heads
      2 index   stream  {tl:p}:index
      3 stream  stream  {tl:p}:s:<tenant>:<session>
      4 ids     hash    {tl:p}:ids:<tenant>:<session>

ARGV  1 session       <tenant>:<session>, the field in heads
      2 partition     p, what is published to wake the projectors
      3 as_user       refuse when the session belongs to another user; '' = do not ask
      4 expected_seq  refuse when the session is not at this seq; '' = do not ask
      5 owner         user_id of the session.started below or among the events; '' = none
      6 start_id      event_id of a session.started to write first unless one is there; '' = none
      7 start_bytes   its bytes
      8.. three an event: event_id, mark, bytes
          mark: 's' session.started, 'e' session.erased, '' any other

Returns {recorded_at ms, last seq, {seq of each event}, {1 for each event that was a repeat, else 0}}
      or an error reply, nothing written:
      INVALID  an id that no reader could take: 1 to 128 of A-Z a-z 0-9 . _ ~ -
      ERASED   <session> is erased
      NOT_OWNER <session> belongs to another user
      CONFLICT <expected> <actual>
      LOST     <session> <expected entries> <entries>: stream, ids and heads disagree, or, where both
               numbers are the same, the stream takes no event at the next seq: somebody else wrote to it
Publishes "<p>" on turnlog:wake when events were written, "<p> <session>" when LOST.
Keeps the n of the newest index entry in the key <index>:n, which only spares reading the index.

A head is "<seq> <base> <t> <event_id> <flags> <owner>": the last event's seq, the seq before the
first one still in the stream, its recorded_at in ms, its event_id; flags: '-' or letters (s = has a
session.started, e = erased, c = cold: its stream was trimmed whole); the owner, text to the end.
]]
local heads, index, stream, ids = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local session, partition, as_user, expected, owner = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local start_id, start_bytes = ARGV[6], ARGV[7]

-- shared: other scripts begin with what stands from here to the end of it
local function int(number)
  return string.format('%.0f', number)
end

local function is_id(text)
  return #text > 0 and #text <= 128 and not string.find(text, '[^%w._~-]')
end

-- An entry at the end of the index. Nothing in here may fail: the events are written already.
local function tell_index(index, session, from, count, prev, last, size)
  local function put(n)
    return redis.pcall('XADD', index, int(n) .. '-0', 'session', session, 'from', int(from),
      'count', int(count), 'prev', prev, 'last', last, 'size', int(size))
  end
  -- A counter, since to read the newest entry would take as long as all the rest together.
  local counter = index .. ':n'
  local n = redis.pcall('INCR', counter)
  if type(n) == 'number' and n < 2 ^ 53 and not put(n).err then return end
  -- It was lost, or is not ours. The index knows its last ID even when that entry was deleted.
  n = 1
  local info = redis.pcall('XINFO', 'STREAM', index)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then n = tonumber(string.match(info[i + 1], '^%d+')) + 1 end
  end
  redis.call('SET', counter, int(n))
  put(n)
end
-- end of shared

-- A wrong id would stop every projector that meets it; clients check theirs, others may not.
local tenant, name = string.match(session, '^([^:]+):([^:]+)$')
if not (tenant and is_id(tenant) and is_id(name) and (start_id == '' or is_id(start_id))) then
  return redis.error_reply('INVALID the session or the id of its session.started is no id')
end

local seq, base, t, last_id, flags, head_owner = 0, 0, 0, '', '-', ''
local head = redis.call('HGET', heads, session)
if head then
  local a, b, c, d, e, f = string.match(head, '^(%d+) (%d+) (%d+) (%S+) (%S+) (.*)$')
  seq, base, t, last_id, flags, head_owner = tonumber(a), tonumber(b), tonumber(c), d, e, f
end

local erased = string.find(flags, 'e', 1, true)
if head and as_user ~= '' and head_owner ~= as_user then
  return redis.error_reply('NOT_OWNER ' .. session .. ' belongs to another user')
end
if not head and as_user ~= '' and owner ~= as_user then
  return redis.error_reply('NOT_OWNER ' .. session .. ' would not belong to the user')
end

-- Which events are new? One call may name an event twice.
local count = (#ARGV - 7) / 3
local seqs, repeats, fresh, given = {}, {}, {}, {}
local next_seq = seq
local started = string.find(flags, 's', 1, true)
if head then given[last_id] = seq end -- known even where ids are gone: erased, cold
if not started and not erased and start_id ~= '' then
  next_seq = next_seq + 1
  fresh[1] = 5 -- so that the loop below finds id, mark and bytes at 6, -, 7
  given[start_id] = next_seq
end
local known = {}
if head and count > 0 then
  local names = {}
  for i = 1, count do names[i] = ARGV[5 + 3 * i] end
  known = redis.call('HMGET', ids, unpack(names))
end
for i = 1, count do
  local event_id = ARGV[5 + 3 * i]
  if not is_id(event_id) then
    return redis.error_reply('INVALID event_id ' .. int(i) .. ' of the call is no id')
  end
  local first = known[i] or given[event_id]
  if first then
    seqs[i], repeats[i] = tonumber(first), 1
  else
    next_seq = next_seq + 1
    seqs[i], repeats[i] = next_seq, 0
    given[event_id] = next_seq
    fresh[#fresh + 1] = 5 + 3 * i
  end
end

local function lost(expected, found)
  redis.call('PUBLISH', 'turnlog:wake', partition .. ' ' .. session) -- so that it is healed at once
  return redis.error_reply('LOST ' .. session .. ' ' .. int(expected) .. ' ' .. int(found))
end

if not erased then -- asked before repeats are answered: ids may know what the stream has lost
  local length = redis.call('XLEN', stream)
  if length == seq - base then length = redis.call('HLEN', ids) end
  if length ~= seq - base then return lost(seq - base, length) end
end
if #fresh == 0 then
  return {int(t), seq, seqs, repeats}
end
if erased then
  return redis.error_reply('ERASED ' .. session .. ' is erased')
end
if expected ~= '' and tonumber(expected) ~= seq then
  return redis.error_reply('CONFLICT ' .. expected .. ' ' .. int(seq))
end

-- Every check is behind us: Lua does not roll back what it has written.
local clock = redis.call('TIME')
t = math.max(tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000), t)
local recorded_at = int(t)
local from, before, size = seq + 1, last_id, 0
flags = string.gsub(flags, 'c', '') -- the session has a stream again
if flags == '' then flags = '-' end
for _, at in ipairs(fresh) do
  local event_id, mark, bytes
  if at == 5 then
    event_id, mark, bytes = start_id, 's', start_bytes
  else
    event_id, mark, bytes = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  end
  seq = seq + 1
  local added = redis.pcall('XADD', stream, int(seq) .. '-0', 'e', bytes, 'i', event_id, 't', recorded_at)
  if added.err then -- only the first can fail, so nothing is written
    if not string.find(added.err, 'ID', 1, true) then return added end
    return lost(seq - 1 - base, seq - 1 - base) -- the stream has had a later ID
  end
  redis.call('HSET', ids, event_id, int(seq))
  if mark == 's' and not started then
    started, head_owner = true, owner
    flags = flags == '-' and 's' or flags .. 's'
  elseif mark == 'e' then
    flags = flags == '-' and 'e' or flags .. 'e'
  end
  last_id = event_id
  size = size + #bytes
end
redis.call('HSET', heads, session,
  int(seq) .. ' ' .. int(base) .. ' ' .. recorded_at .. ' ' .. last_id .. ' ' .. flags .. ' ' .. head_owner)
tell_index(index, session, from, seq - from + 1, before, last_id, size)
redis.call('PUBLISH', 'turnlog:wake', partition)
return {recorded_at, seq, seqs, repeats}
