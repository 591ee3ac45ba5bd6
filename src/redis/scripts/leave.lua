-- The end of a client that ends in good order: what it holds goes back, it produces no more, and nothing is to be
-- remembered for it. ARGV: uuid, client
call('DEL', q .. 't:' .. me)
if open() then
  return { 'left' }
end
reserve()
local returned = 0
local ids = call('SMEMBERS', q .. 'o:' .. me)
table.sort(ids, by_number)
for _, id in ipairs(ids) do
  local f = load(id)
  if f and f.state == LEASED then
    give_back(f, f.kept == 1 and m.max_attempts or 0, 0, '4:0:')
    returned = returned + 1
  end
end
stop_producing(me)
forget_owner(me)
if returned > 0 then
  wake('data')
end
note_if_drained()
commit()
return { 'left' }
