-- Called last of all, where something fired: what is remembered was of this packet alone.
function match()
  remember(NONE)
  return 0
end
