-- Lets kept leases run until another time: all of them, or none.
-- ARGV: uuid, client, microseconds from now, then id and attempts of each
local answer = begin()
if answer then
  return answer
end
local till = math.min(now + tonumber(ARGV[3]), NEVER)
look()
local frames = {}
for index = 4, #ARGV, 2 do
  local f = load(ARGV[index])
  if not f or f.state ~= LEASED or f.kept == 0 or f.attempts ~= tonumber(ARGV[index + 1]) then
    commit()
    return { 'not leased', ARGV[index], ARGV[index + 1] }
  end
  frames[#frames + 1] = f
end
for _, f in ipairs(frames) do
  f.till = moment(till)
  save(f)
  call('ZADD', q .. 'kept', whole(f.till), f.id)
end
-- Sleepers have to know when to look again.
wake('data')
commit()
return { 'extended' }
