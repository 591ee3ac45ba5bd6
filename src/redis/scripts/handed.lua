-- Whether a lease ended by that client's handing its message on; or forgets that it did.
-- ARGV: uuid, client, id.attempts, forget, who did it
local refused = open()
if refused then
  return refused
end
local is_so = call('HGET', q .. 'handed', ARGV[3]) == ARGV[5]
if ARGV[4] ~= '1' then
  return { 'handed', is_so and 1 or 0 }
end
if is_so then
  call('HDEL', q .. 'handed', ARGV[3])
end
return { 'forgotten' }
