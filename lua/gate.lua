-- Tries all rules of its layers and adds the sids that fired to the flow variable, behind those that
-- other gates found on the same packet. LET_THROUGH: sids for which packets are not dropped where
-- others are.
function match(args)
  fired = {}
  examine_frame(packet_of(args))
  if #fired == 0 or not has_flow() then return 0 end
  local before = recall()
  if not before or before == NONE then before = "/" end
  remember(before .. table.concat(fired, "/") .. "/")
  for i = 1, #fired do
    if not LET_THROUGH[fired[i]] then return 1 end
  end
  return 0
end
