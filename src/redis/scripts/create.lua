-- Makes the queue. ARGV: uuid, client, then fields of meta and their values.
if call('EXISTS', meta) == 1 then
  if call('HGET', meta, 'version') ~= VERSION then
    return { 'version', call('HGET', meta, 'version') or '' }
  end
  -- It may be ours: then the answer was lost.
  return { call('HGET', meta, 'uuid') == ARGV[1] and 'made' or 'exists' }
end
call('HSET', meta, 'version', VERSION, 'uuid', ARGV[1], 'created', whole(now), 'next_id', 1, unpack(ARGV, 3))
wake('made')
return { 'made' }
