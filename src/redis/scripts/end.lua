-- Ends kept leases: all of them, or none.
-- ARGV: uuid, client, sequence, how, microseconds of delay, attempts or -1, reason, then id and attempts of each
local sequence, how, delay, max_attempts, reason = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local answer = begin(sequence)
if answer then
  return answer
end
look()
if max_attempts < 0 then
  max_attempts = m.max_attempts
end
local frames, seen = {}, {}
for index = 8, #ARGV, 2 do
  local f = load(ARGV[index])
  if not f or f.state ~= LEASED or f.kept == 0 or f.attempts ~= tonumber(ARGV[index + 1]) then
    commit()
    return { 'not leased', ARGV[index], ARGV[index + 1] }
  end
  if not seen[f.id] then
    seen[f.id] = true
    frames[#frames + 1] = f
  end
end
table.sort(frames, function(one, other) return by_number(one.id, other.id) end)
local done, again, dead = 0, 0, 0
for _, f in ipairs(frames) do
  local owner = f.owner
  if how == 'done' or how == 'handed on' then
    let_go(f)
    remove(f)
    done = done + 1
    if how == 'handed on' then
      call('HSET', q .. 'handed', f.id .. '.' .. f.attempts, me)
    end
  elseif how == 'dead' then
    let_go(f)
    bury(f, reason)
    dead = dead + 1
  elseif give_back(f, max_attempts, delay > 0 and now + delay or 0, reason) == 'dead' then
    dead = dead + 1
  else
    again = again + 1
  end
  if owner ~= NOBODY and owner ~= me then
    forget_owner(owner)
  end
end
if done > 0 then
  count('got', done)
  wake('space')
end
if again > 0 then
  wake('data')
end
note_if_drained()
commit()
return remember(sequence, { 'ended', done, again, dead })
