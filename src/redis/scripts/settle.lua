-- Ends leases that were not kept, in the order in which they were taken: the first `delivered` messages are done with,
-- the others are ready again. ARGV: uuid, client, sequence, delivered, stay, then id, count and attempts of each frame.
local sequence, delivered, stay = ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1'
local answer = begin(sequence)
if answer then
  return answer
end
local done, returned, lost = 0, 0, 0
for index = 6, #ARGV, 3 do
  local id, messages, attempts = ARGV[index], tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
  local finished = math.min(delivered, messages)
  delivered = delivered - finished
  local f = load(id)
  if f and f.attempts == attempts and f.count == messages and f.state == READY and finished > 0 then
    -- We were given up for dead, and nobody has taken it since.
    call('ZREM', q .. 'ready', id)
    add('ready', -messages)
    add('leased', messages)
    f.state = LEASED
  elseif not f or f.owner ~= me or f.state ~= LEASED or f.attempts ~= attempts then
    f = nil
    lost = lost + finished
  end
  if f and finished == f.count then
    let_go(f)
    remove(f)
    done = done + finished
  elseif f then
    if finished > 0 then
      local cut = measure(f, finished)
      call('SREM', q .. 'o:' .. me, f.id)
      add('leased', -finished)
      add('bytes', -(cut - finished))
      advance(f, finished, cut)
      done = done + finished
    end
    returned = returned + f.count
    give_back(f, 0, 0, '')
  end
end
if done > 0 then
  count('got', done)
  wake('space')
end
if returned > 0 then
  wake('data')
end
if not stay then
  forget_owner(me)
end
note_if_drained()
commit()
return remember(sequence, { 'settled', lost, is_owner() })
