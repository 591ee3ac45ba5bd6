-- The figures, and, if that is wanted, who holds messages and who produces. ARGV: uuid, client, participants, whether
-- nothing is to be changed
local refused = open()
if refused then
  return refused
end
if ARGV[4] == '1' then
  only_look()
end
reserve()
local undecided = look()
commit()
local oldest, first = NEVER, call('ZRANGE', q .. 'ready', 0, 0)[1]
moved[first or ''] = first and load(first)
for _, f in pairs(moved) do
  if f.state == READY then
    oldest = math.min(oldest, f.put_at)
  end
end
local participants = {}
if ARGV[3] == '1' then
  -- Who is not heard of any more holds nothing.
  for _, owner in ipairs(call('ZRANGEBYSCORE', q .. 'owners', '(' .. whole(now), '+inf')) do
    local messages, since = 0, now
    for _, id in ipairs(call('SMEMBERS', q .. 'o:' .. owner)) do
      local f = not moved[id] and load(id)
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
  rate_now('put'), rate_now('got'), oldest < NEVER and oldest or -1, m.created, m.next_id, now, participants,
}
