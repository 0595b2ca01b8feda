-- Answers for the rule of Suricata that called: whether its rule fires on the packet.
function match(args)
  asked, fired = calling_sid(), {}
  examine_frame(packet_of(args))
  return #fired > 0 and 1 or 0
end
