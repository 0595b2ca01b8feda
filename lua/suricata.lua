-- What Suricata 7 (LuaJIT) and 8 (Lua 5.4) name differently. The flow variable "procwire" holds the
-- sids that fired on the packet that Suricata looks at, or NONE.
local VARIABLE, NONE = "procwire", "-"

local packet_of, has_flow, calling_sid, recall, remember
if _VERSION == "Lua 5.1" then
  -- A script keeps some 300 kB, and each round of the collector visits them all.
  collectgarbage("setpause", 400)
  packet_of = function(args) return args["packet"] end
  has_flow = function() return SCFlowTuple() ~= nil end
  calling_sid = function() return (SCRuleIds()) end
  recall = function() return SCFlowvarGet(0) end
  remember = function(value) SCFlowvarSet(0, value, #value) end
else
  local packets, flows = require("suricata.packet"), require("suricata.flow")
  local variables, signatures = require("suricata.flowvar"), require("suricata.rule")
  local variable
  packet_of = function() return packets.get():packet() end
  has_flow = function() return flows.get() ~= nil end
  calling_sid = function() return signatures.get_rule():sid() end
  recall = function() return variable:value() end
  remember = function(value) variable:set(value, #value) end
  function thread_init()
    if REMEMBERS then variable = variables.get(VARIABLE) end
  end
end

function init()
  if not REMEMBERS then return { packet = "true" } end
  if _VERSION ~= "Lua 5.1" then require("suricata.flowvar").register(VARIABLE) end
  return { packet = "true", flowvar = { VARIABLE } }
end
