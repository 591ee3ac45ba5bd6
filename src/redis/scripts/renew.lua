-- Notes that this client lives. ARGV: uuid, client, presence
if call('ZSCORE', q .. 'owners', me) then
  live(ARGV[3])
  return { 'lives' }
end
return { 'unknown' }
