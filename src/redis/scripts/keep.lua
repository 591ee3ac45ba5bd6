-- Keeps leases that were taken singly. ARGV: uuid, client, microseconds they run or -1, whether they end with us, stay,
-- how many are kept, then id and attempts of each; those after the kept ones are ready again.
local answer = begin()
if answer then
  return answer
end
local runs, ours, stay, kept = tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5] == '1', tonumber(ARGV[6])
local till = runs >= 0 and now + runs or NEVER
for index = 7, #ARGV, 2 do
  local f = load(ARGV[index])
  -- What is not ours has been kept already, and the answer was lost; or the lease was, and its end will say so.
  local is_ours = f and f.state == LEASED and f.owner == me and f.attempts == tonumber(ARGV[index + 1])
  if is_ours and kept > 0 then
    if not ours then
      call('SREM', q .. 'o:' .. me, f.id)
      f.owner = NOBODY
    end
    f.kept, f.till = 1, moment(till)
    save(f)
    call('ZADD', q .. 'kept', whole(f.till), f.id)
  elseif is_ours then
    give_back(f, 0, 0, '')
  end
  kept = kept - 1
end
-- Sleepers have to know when to look again.
wake('data')
if not stay then
  forget_owner(me)
end
commit()
return { 'kept', is_owner() }
