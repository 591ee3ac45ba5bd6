-- The figures, and, if that is wanted, who holds messages and who produces. ARGV: uuid, client, participants
local refused = open()
if refused then
  return refused
end
reserve()
local undecided = look()
commit()
local oldest, first = -1, call('ZRANGE', q .. 'ready', 0, 0)[1]
if first then
  local f = load(first)
  oldest = f and f.put_at or -1
end
local participants = {}
if ARGV[3] == '1' then
  for _, owner in ipairs(call('ZRANGE', q .. 'owners', 0, -1)) do
    local messages, since = 0, now
    for _, id in ipairs(call('SMEMBERS', q .. 'o:' .. owner)) do
      local f = load(id)
      if f then
        messages = messages + f.count
        since = math.min(since, f.at)
      end
    end
    for _, value in ipairs({ call('HGET', q .. 'owner', owner) or '0', messages, now - since }) do
      participants[#participants + 1] = value
    end
  end
end
return {
  'status', undecided, until_due(), m.ready, m.leased, m.delayed, m.dead, m.bytes, m.capacity, m.max_items, m.closed,
  m.puts_paused, m.gets_paused, m.put, m.got, m.returned, m.expired, m.died, m.purged, m.high_water, m.producers,
  rate_now('put'), rate_now('got'), oldest, m.created, m.next_id, now, participants,
}
