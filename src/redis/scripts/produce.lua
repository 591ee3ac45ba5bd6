-- Counts this client as a producer. ARGV: uuid, client, presence, what is known of us
local refused = open()
if refused then
  return refused
end
if m.closed == 1 then
  return { 'closed' }
end
local known = call('HGET', q .. 'owner', me)
if not known or string.sub(known, 1, 1) ~= '1' then
  call('HSET', q .. 'owner', me, '1' .. string.sub(known or ARGV[4], 2))
  add('producers', 1)
end
live(ARGV[3])
commit()
return { 'produces' }
