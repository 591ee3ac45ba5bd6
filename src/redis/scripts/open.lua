-- What was fixed at creation.
local refused = open()
if refused then
  return refused
end
return { 'open', m.uuid, m.capacity, m.max_items, m.max_attempts, m.lease, m.auto_close }
