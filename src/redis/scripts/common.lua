-- What all operations share: the layout of a queue's keys, and the changes that they are made of.
--
-- All keys of a queue begin with '{ipcq:NAME}:', so that a cluster keeps them together:
--   meta        hash: what was fixed at creation, flags, counters
--   f:ID        string: a frame, which is a run of messages with consecutive ids from ID: a header, then the payload
--   ready       sorted set: ids of ready frames, by id
--   delayed     sorted set: ids of delayed frames, by when they become ready
--   kept        sorted set: ids of kept leases, each of one message, by when they run out
--   dead        sorted set: ids of dead messages, by when they died
--   reasons     hash: why a message is dead, by its id
--   owners      sorted set: who holds leases or produces, by until when they are known to live
--   owner       hash: what is known of an owner
--   o:OWNER     set: ids of the frames that an owner holds or has prepared
--   prepared    hash: what a prepared frame depends on, by its id
--   handed      hash: who ended a lease by handing its message on
--   t:OWNER     string: what the last change of a client came to, for it may not have heard
-- Times are microseconds since the epoch, of the server's clock.
local VERSION = '1'
local meta = KEYS[1]
local q = string.sub(meta, 1, -5)
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local me = ARGV[2]

local HEADER = '<I4I4I4I4BBBBdddc16'
local HEADER_BYTES = 60
local NOBODY = '----------------'
local READY, LEASED, DELAYED, DEAD, PREPARED = 1, 2, 3, 4, 5
-- A score for what never happens; larger than any time.
local NEVER = 9000000000000000
-- Frames that one look at the clock moves at most; the next look goes on.
local AT_ONCE = 1000
local DELIMITERS = { [2] = '\n', [3] = '\0' }

local function whole(number)
  return string.format('%.0f', number)
end

local function by_number(one, other)
  return tonumber(one) < tonumber(other)
end

-- That time, or a little later if this script has used it before: what happens at once keeps its order.
local moments = 0
local function moment(time)
  moments = moments + 1
  return time + moments - 1
end

-- The meta hash as it was, and what has changed in it.
local FIELDS = {
  'version', 'uuid', 'capacity', 'max_items', 'max_attempts', 'auto_close', 'closed', 'puts_paused', 'gets_paused',
  'next_id', 'ready', 'leased', 'delayed', 'dead', 'bytes', 'put', 'got', 'returned', 'expired', 'died', 'purged',
  'high_water', 'producers', 'prepared', 'put_since', 'put_before', 'put_rate', 'got_since', 'got_before', 'got_rate',
  'lease', 'created',
}
local m, changed = {}, {}

local function set(field, value)
  m[field] = value
  changed[field] = true
end

local function add(field, count)
  set(field, m[field] + count)
end

-- Reads the meta hash. Returns a reply if the queue is not there, or not the one that was opened.
local function open()
  local values = call('HMGET', meta, unpack(FIELDS))
  if not values[1] then
    return { 'gone' }
  end
  if values[1] ~= VERSION then
    return { 'version', values[1] }
  end
  for index, field in ipairs(FIELDS) do
    m[field] = index > 2 and tonumber(values[index] or 0) or values[index]
  end
  if ARGV[1] ~= '' and m.uuid ~= ARGV[1] then
    return { 'gone' }
  end
end

local READS = {
  EXISTS = true, GETRANGE = true, HGET = true, HMGET = true, SMEMBERS = true, STRLEN = true, ZRANGE = true,
  ZRANGEBYSCORE = true, ZSCORE = true,
}

-- Lets what follows change figures and frames in hand, and nothing on the server: looking is no change, and a replica
-- can be looked at, too.
local function only_look()
  call = function(command, ...)
    if READS[command] then
      return redis.call(command, ...)
    end
    return 0
  end
end

-- To be called first by what must not fail for want of memory: a server that has run out of it refuses the first
-- change of a script, if that could need more, and none after that.
local function reserve()
  call('HDEL', meta, '-')
end

local function commit()
  local pairs_ = {}
  for field in pairs(changed) do
    pairs_[#pairs_ + 1] = field
    pairs_[#pairs_ + 1] = whole(m[field])
  end
  if #pairs_ > 0 then
    call('HSET', meta, unpack(pairs_))
  end
end

-- Tells those who listen. Channels are the same in all databases, where other queues may have the same name.
local function wake(what)
  call('PUBLISH', q .. what .. ':' .. (m.uuid or ''), '')
end

-- What the last change of this client came to, if it is this one again.
local function remembered(sequence)
  local last = call('GET', q .. 't:' .. me)
  if last then
    local reply = cjson.decode(last)
    if reply[1] == sequence then
      return reply[2]
    end
  end
end

-- Remembers it for a day: whoever has heard the answer forgets it.
local function remember(sequence, reply)
  call('SET', q .. 't:' .. me, cjson.encode({ sequence, reply }), 'EX', 86400)
  return reply
end

-- How a change begins. Returns a reply if there is nothing to do: the queue is not there, or the change of this client
-- with that number, if it has one, has been made.
local function begin(sequence)
  local reply = open() or sequence and remembered(sequence)
  if not reply then
    reserve()
  end
  return reply
end

-- Frames.

local function load(id)
  local header = call('GETRANGE', q .. 'f:' .. id, 0, HEADER_BYTES - 1)
  if #header < HEADER_BYTES then
    return nil
  end
  local f = { id = id }
  f.count, f.skip, f.attempts, f.forgiven, f.framing, f.json, f.state, f.kept, f.put_at, f.at, f.till, f.owner =
    struct.unpack(HEADER, header)
  return f
end

local function header(f)
  return struct.pack(HEADER, f.count, f.skip, f.attempts, f.forgiven, f.framing, f.json, f.state, f.kept, f.put_at,
    f.at, f.till, f.owner)
end

local function save(f)
  call('SETRANGE', q .. 'f:' .. f.id, 0, header(f))
end

-- Bytes of the messages with their delimiters.
local function length(f)
  return call('STRLEN', q .. 'f:' .. f.id) - HEADER_BYTES - f.skip
end

-- Bytes of the messages without.
local function message_bytes(f)
  return length(f) - (f.framing == 1 and 0 or f.count)
end

local function payload(f)
  return call('GETRANGE', q .. 'f:' .. f.id, HEADER_BYTES + f.skip, -1)
end

-- Where the first `count` messages of a text end.
local function end_of(text, framing, count)
  local delimiter, at = DELIMITERS[framing], 0
  for _ = 1, count do
    at = string.find(text, delimiter, at + 1, true)
    if not at then
      return #text
    end
  end
  return at
end

-- Bytes of the first `count` messages of a frame, delimiters included.
local function measure(f, count)
  if f.framing == 1 then
    return length(f)
  end
  local key, delimiter, start, done = q .. 'f:' .. f.id, DELIMITERS[f.framing], HEADER_BYTES + f.skip, 0
  while true do
    local chunk = call('GETRANGE', key, start + done, start + done + 4095)
    local at = 0
    while true do
      at = string.find(chunk, delimiter, at + 1, true)
      if not at then
        break
      end
      count = count - 1
      if count == 0 then
        return done + at
      end
    end
    done = done + #chunk
    if #chunk < 4096 then
      return done
    end
  end
end

-- Drops the first `count` messages, `bytes` with their delimiters, from a frame that is in no set now. What remains is
-- another frame.
local function advance(f, count, bytes)
  local old = q .. 'f:' .. f.id
  f.id = whole(f.id + count)
  f.count = f.count - count
  f.skip = f.skip + bytes
  local new = q .. 'f:' .. f.id
  call('RENAME', old, new)
  local all = call('STRLEN', new) - HEADER_BYTES
  if f.skip > all - f.skip then
    local rest = payload(f)
    f.skip = 0
    call('SET', new, header(f) .. rest)
  else
    save(f)
  end
end

-- Counting.

local WINDOW = 5000000

local function rate(kind, elapsed)
  return math.floor((m[kind] - m[kind .. '_before']) * 1000 * 1000000 / math.max(elapsed, 1))
end

-- Counts messages that were put, or got, and how fast that goes.
local function count(kind, messages)
  local elapsed = now - m[kind .. '_since']
  if elapsed < 0 or elapsed >= WINDOW then
    set(kind .. '_rate', elapsed >= 0 and rate(kind, elapsed) or 0)
    set(kind .. '_since', now)
    set(kind .. '_before', m[kind])
  end
  add(kind, messages)
end

local function rate_now(kind)
  local elapsed = now - m[kind .. '_since']
  if elapsed >= 0 and (elapsed >= WINDOW or m[kind .. '_rate'] == 0) then
    return rate(kind, math.max(elapsed, 1000000))
  end
  return m[kind .. '_rate']
end

-- Life and death.

-- Notes that this client lives, for a while.
local function live(presence)
  call('ZADD', q .. 'owners', whole(now + presence), me)
end

-- Whether this client is one that holds or produces something.
local function is_owner()
  return call('ZSCORE', q .. 'owners', me) and 1 or 0
end

-- Forgets an owner that holds and produces nothing.
local function forget_owner(owner)
  if call('EXISTS', q .. 'o:' .. owner) == 1 then
    return
  end
  local produces = call('HGET', q .. 'owner', owner)
  if produces and string.sub(produces, 1, 1) == '1' then
    return
  end
  call('ZREM', q .. 'owners', owner)
  call('HDEL', q .. 'owner', owner)
end

local function make_ready(f)
  f.state, f.kept, f.owner = READY, 0, NOBODY
  save(f)
  call('ZADD', q .. 'ready', f.id, f.id)
  add('ready', f.count)
end

local function bury(f, reason)
  f.state, f.at = DEAD, moment(now)
  save(f)
  call('ZADD', q .. 'dead', whole(f.at), f.id)
  call('HSET', q .. 'reasons', f.id, reason)
  add('dead', f.count)
  add('died', f.count)
end

-- Takes a leased frame from whoever has it. Returns whether its lease was kept.
local function let_go(f)
  if f.owner ~= NOBODY then
    call('SREM', q .. 'o:' .. f.owner, f.id)
    f.owner = NOBODY
  end
  add('leased', -f.count)
  if f.kept == 0 then
    return false
  end
  call('ZREM', q .. 'kept', f.id)
  f.kept = 0
  return true
end

-- Ends a lease of a message that was not finished with. `reason` says why, should it be dead then.
local function give_back(f, max_attempts, not_before, reason)
  local was_kept = let_go(f)
  if was_kept and max_attempts > 0 and f.attempts - f.forgiven >= max_attempts then
    bury(f, reason)
    return 'dead'
  end
  add('returned', f.count)
  if not_before > now then
    f.state, f.at = DELAYED, moment(not_before)
    save(f)
    call('ZADD', q .. 'delayed', whole(f.at), f.id)
    add('delayed', f.count)
    return 'delayed'
  end
  make_ready(f)
  return 'ready'
end

-- Removes a frame that is in no set now.
local function remove(f)
  add('bytes', -message_bytes(f))
  call('DEL', q .. 'f:' .. f.id)
end

local function note_if_drained()
  if m.ready == 0 and m.leased == 0 and m.delayed == 0 then
    wake('finished')
    if m.closed == 1 then
      wake('data')
    end
  end
end

local function stop_producing(owner)
  local known = call('HGET', q .. 'owner', owner)
  if known and string.sub(known, 1, 1) == '1' then
    call('HSET', q .. 'owner', owner, '0' .. string.sub(known, 2))
    add('producers', -1)
    if m.auto_close == 1 and m.producers == 0 then
      set('closed', 1)
      wake('data')
      wake('space')
    end
  end
end

-- The frames that a look has moved, by their ids.
local moved = {}

-- Does what is due by now. Returns what dead owners have prepared, as ids and sources in turn: somebody has to look in
-- another queue what is to become of that.
local function look()
  local came_back, undecided, moves = 0, {}, 0
  local function ends(f, reason)
    moved[f.id], f.reason = f, reason
    moves = moves + 1
    if give_back(f, m.max_attempts, 0, reason) == 'ready' then
      came_back = came_back + 1
    end
  end
  for _, owner in ipairs(call('ZRANGEBYSCORE', q .. 'owners', '-inf', whole(now), 'LIMIT', 0, AT_ONCE)) do
    local waits = false
    local ids = call('SMEMBERS', q .. 'o:' .. owner)
    table.sort(ids, by_number)
    for _, id in ipairs(ids) do
      local f = load(id)
      if not f then
        call('SREM', q .. 'o:' .. owner, id)
      elseif f.state == PREPARED then
        waits = true
        undecided[#undecided + 1] = id
        undecided[#undecided + 1] = call('HGET', q .. 'prepared', id) or ''
      elseif moves < AT_ONCE then
        ends(f, '4:0:')
      else
        waits = true
      end
    end
    if not waits then
      stop_producing(owner)
      forget_owner(owner)
    end
  end
  if moves < AT_ONCE then
    local ids = call('ZRANGEBYSCORE', q .. 'kept', '-inf', whole(now), 'LIMIT', 0, AT_ONCE)
    table.sort(ids, by_number)
    for _, id in ipairs(ids) do
      local f = load(id)
      if not f then
        call('ZREM', q .. 'kept', id)
      elseif not moved[id] then
        local owner = f.owner
        ends(f, '3:0:')
        add('expired', f.count)
        if owner ~= NOBODY then
          forget_owner(owner)
        end
      end
    end
  end
  for _, id in ipairs(call('ZRANGEBYSCORE', q .. 'delayed', '-inf', whole(now), 'LIMIT', 0, AT_ONCE)) do
    call('ZREM', q .. 'delayed', id)
    local f = load(id)
    if f then
      moved[id] = f
      add('delayed', -f.count)
      make_ready(f)
      came_back = came_back + 1
    end
  end
  if came_back > 0 then
    wake('data')
  end
  if moves > 0 then
    note_if_drained()
  end
  return undecided
end

-- Microseconds until there is something to do for `look`; -1: there is nothing to come.
local function until_due()
  local next_ = NEVER
  for _, set_ in ipairs({ 'owners', 'kept', 'delayed' }) do
    local first = call('ZRANGE', q .. set_, 0, 0, 'WITHSCORES')
    if first[2] then
      next_ = math.min(next_, tonumber(first[2]))
    end
  end
  return next_ < NEVER and math.max(next_ - now, 0) or -1
end
