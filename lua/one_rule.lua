-- Answers for the rule of Suricata that called: whether its rule fires on the packet.
function match(args)
  local sid = calling_sid()
  fired = {}
  examine_frame(packet_of(args))
  for i = 1, #fired do
    if fired[i] == sid then return 1 end
  end
  return 0
end
