-- What Suricata calls. The walk is that of procwire/decode, span for span: a span is the string from
-- a layer's first byte on, and a broken transport header belongs to its layer's malformed twin.
--
-- The generator puts the words, RULES (layer -> {sid, rule} in order), ONE_RULE and LET_THROUGH (the
-- sids for which packets are not dropped where others are) before this text.
-- ONE_RULE = false: all rules are tried and the flow variable "procwire" holds the sids that fired on
-- this very packet. ONE_RULE = true, for packets that Suricata gives no flow to hold a variable: the
-- script answers for the Suricata rule that called it.
local sub = string.sub
local VARIABLE = "procwire"
local NONE = "-"

local ETHERNET_HEADER, TAG_SIZE, MOST_TAGS = 14, 4, 4
local PPPOE_SESSION, MPLS, MOST_LABELS = 0x8864, { [0x8847] = true, [0x8848] = true }, 16
local FABRIC_PATH, FABRIC_PATH_TAG = 0x8903, 2
local PPP_NETWORKS = { [0x0021] = 0x0800, [0x0057] = 0x86DD }
local LABELLED = { [4] = 0x0800, [6] = 0x86DD }
local TAG_TYPES = { [0x8100] = true, [0x88A8] = true, [0x9100] = true }

-- What Suricata 7 (LuaJIT) and 8 (Lua 5.4) name differently.
local packet_of, has_flow, calling_sid, recall, remember
if _VERSION == "Lua 5.1" then
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
    if not ONE_RULE then variable = variables.get(VARIABLE) end
  end
end

function init()
  if ONE_RULE then return { packet = "true" } end
  if _VERSION ~= "Lua 5.1" then require("suricata.flowvar").register(VARIABLE) end
  return { packet = "true", flowvar = { VARIABLE } }
end

local fired

local function examine(layer, p, outer)
  local rules = RULES[layer]
  if not rules then return end
  for i = 1, #rules do
    if rules[i][2](p, outer) then fired[#fired + 1] = rules[i][1] end
  end
end

local OVER_UDP = {
  [53] = "dns", [5353] = "dns", [123] = "ntp", [67] = "dhcp", [68] = "dhcp",
  [161] = "snmp", [162] = "snmp", [20000] = "dnp3",
}
local OVER_TCP = {
  [53] = "dns", [502] = "modbus", [20000] = "dnp3",
  [25] = "smtp", [465] = "smtp", [587] = "smtp", [2525] = "smtp",
}

local HTTP_STARTS = {}
for start in ("GET POST HEAD PUT DELE OPTI TRAC CONN PATC PROP HTTP"):gmatch("%a+") do
  HTTP_STARTS[u32(#start == 3 and start .. " " or start, 0)] = true
end

local SMTP_VERBS = {
  ehlo = true, helo = true, mail = true, rcpt = true, data = true,
  bdat = true, rset = true, quit = true, auth = true, star = true,
}
local SMTP_GREETINGS = { ["ehlo "] = true, ["helo "] = true }
local SMB_STARTS = {
  [0xFF534D42] = true, [0xFE534D42] = true, [0xFD534D42] = true, [0xFC534D42] = true,
}

-- Each tells whether the payload of a TCP segment begins like a message of its layer, and where.
local BEGINS = {
  dns = function(payload)
    if #payload >= 14 and u16(payload, 0) == #payload - 2 then return 2 end
  end,
  modbus = function(payload)
    local fits = u16(payload, 2) == 0 or u16(payload, 4) == #payload - 6
    if #payload >= 8 and fits then return 0 end
  end,
  dnp3 = function(payload)
    if u16(payload, 0) == 0x0564 then return 0 end
  end,
  smtp = function(payload)
    local printable = #payload >= 4 and payload:find("^%d[ -~][ -~]")
    if SMTP_VERBS[sub(payload, 1, 4):lower()] or printable then return 0 end
  end,
}

-- A record's header; or with another version, a hello that fills its record; or SSL 2.0's.
local function begins_tls(payload)
  local kind, hello = u8(payload, 0), u8(payload, 5)
  if #payload < 5 then return false end
  if kind >= 128 then
    local fits = u16(payload, 0) - 0x8000 == #payload - 2
    return fits and (u8(payload, 2) == 1 or u8(payload, 2) == 4)
  end
  if kind < 20 or kind > 24 then return false end
  if u8(payload, 1) == 3 and u8(payload, 2) <= 4 then return true end
  local fills = bits(u32(payload, 5), 0, 24) == u16(payload, 3) - 4
  return #payload >= 9 and kind == 22 and (hello == 1 or hello == 2) and fills
end

-- The layer of a message that is known by its first bytes, on any port, or nil.
local function layer_of_start(payload)
  if HTTP_STARTS[u32(payload, 0)] or sub(payload, 1, 4):lower() == "http" then return "http1" end
  if sub(payload, 1, 4) == "SSH-" then return "ssh" end
  if begins_tls(payload) then return "tls" end
  if #payload < 8 then return nil end
  if u8(payload, 0) == 0 and SMB_STARTS[u32(payload, 4)] then return "smb" end
  if SMTP_GREETINGS[sub(payload, 1, 5):lower()] then return "smtp" end
end

local function layer_of_ports(p, layers) return layers[u16(p, 2)] or layers[u16(p, 0)] end

-- What is known by its first bytes; where a port's layer has none, by the port and those.
local function examine_segment(p)
  local layer, header = layer_of_ports(p, OVER_TCP), bits(u8(p, 12), 4, 4) * 4
  local payload = sub(p, header + 1)
  local known = (not layer or layer == "smtp") and layer_of_start(payload)
  if known then
    examine(known, payload, p)
    return
  end
  local start = layer and BEGINS[layer](payload)
  if start then examine(layer, sub(payload, start + 1), p) end
end

local function examine_datagram(p)
  local layer, size = layer_of_ports(p, OVER_UDP), u16(p, 4)
  if size == 0 then size = #p end
  if layer and size > 8 then examine(layer, sub(p, 9, size), p) end
end

-- Each tells whether the transport header at the start of `p` is intact.
local function tcp_intact(p)
  local header = bits(u8(p, 12), 4, 4) * 4
  return #p >= 20 and header >= 20 and header <= #p
end

local function udp_intact(p)
  local size = u16(p, 4)
  return #p >= 8 and (size == 0 or (size >= 8 and size <= #p))
end

local function icmp_intact(p) return #p >= 8 end

local TCP = { layer = "tcp", intact = tcp_intact, examine_payload = examine_segment }
local UDP = { layer = "udp", intact = udp_intact, examine_payload = examine_datagram }
local TRANSPORTS = {
  [4] = { [1] = { layer = "icmp4", intact = icmp_intact }, [6] = TCP, [17] = UDP },
  [6] = { [58] = { layer = "icmp6", intact = icmp_intact }, [6] = TCP, [17] = UDP },
}

local function examine_transport(version, protocol, p, network)
  local transport = TRANSPORTS[version][protocol]
  if not transport then return end
  if not transport.intact(p) then
    examine(transport.layer .. "_malformed", p, network)
    return
  end
  examine(transport.layer, p, network)
  if transport.examine_payload then transport.examine_payload(p) end
end

-- The sizes of header and packet of the intact IPv4 header at offset `at`, or nil.
local function ipv4_sizes(frame, at)
  local rest = #frame - at
  local first = u8(frame, at)
  local header, total = bits(first, 0, 4) * 4, u16(frame, at + 2)
  if total == 0 and rest > 576 then total = rest end
  local intact = rest >= 20 and bits(first, 4, 4) == 4 and header >= 20
  if intact and total >= header and total <= rest then return header, total end
end

-- RFC 2675 section 2: the hop-by-hop header's jumbo payload option holds the length.
local function is_jumbo(frame, at, next_header)
  local rest = #frame - at
  if rest > 65535 then return true end
  if next_header ~= 0 or rest < 8 then return false end
  local finish = (u8(frame, at + 1) + 1) * 8
  if finish > rest then finish = rest end
  local offset = 2
  while offset + 2 <= finish do
    local option = u8(frame, at + offset)
    if option == 0xC2 then return true end
    if option == 0 then offset = offset + 1 else offset = offset + 2 + u8(frame, at + offset + 1) end
  end
  return false
end

-- The payload size of the intact IPv6 header at offset `at`, or nil.
local function ipv6_size(frame, at)
  local rest = #frame - at - 40
  local size = u16(frame, at + 4)
  if rest < 0 or bits(u8(frame, at), 4, 4) ~= 6 then return nil end
  if size == 0 and is_jumbo(frame, at + 40, u8(frame, at + 6)) then size = rest end
  if size <= rest then return size end
end

-- Where the transport header starts behind offset `at`, and its protocol; nil if none can be read.
local function skip_extensions(frame, at, finish, protocol)
  for _ = 0, MOST_EXTENSIONS do
    if not EXTENSIONS[protocol] then return at, protocol end
    if at + 8 > finish then return nil end
    local size = (u8(frame, at + 1) + 1) * 8
    if protocol == 51 then size = (u8(frame, at + 1) + 2) * 4 end
    if protocol == 44 then
      size = 8
      local field = u16(frame, at + 2)
      if bits(field, 3, 13) > 0 or bits(field, 0, 1) > 0 then return nil end
    end
    if at + size > finish then return nil end
    protocol = u8(frame, at)
    at = at + size
  end
end

-- Each examines the packet whose header lies at offset `at`; false if that header is not intact.
local function examine_ipv4(frame, at, outer)
  local header, total = ipv4_sizes(frame, at)
  if not header then return false end
  local p = sub(frame, at + 1)
  examine("ipv4", p, outer)
  local fragment = bits(u16(p, 6), 0, 14) > 0
  if not fragment then examine_transport(4, u8(p, 9), sub(p, header + 1, total), p) end
  return true
end

local function examine_ipv6(frame, at, outer)
  local size = ipv6_size(frame, at)
  if not size then return false end
  local p = sub(frame, at + 1)
  examine("ipv6", p, outer)
  local start, protocol = skip_extensions(p, 40, 40 + size, u8(p, 6))
  if start then examine_transport(6, protocol, sub(p, start + 1, 40 + size), p) end
  return true
end

local NETWORKS = { [0x0800] = examine_ipv4, [0x86DD] = examine_ipv6 }

-- Each returns ethertype and offset of what follows its header at offset `at`; ethertype 0 if that
-- is no IP. PPPoE also returns the frame without its padding.
local function inside_pppoe(frame, at)
  local finish = at + 6 + u16(frame, at + 4)
  if finish >= at + 8 and finish <= #frame then frame = sub(frame, 1, finish) end
  return PPP_NETWORKS[u16(frame, at + 6)] or 0, at + 8, frame
end

local function inside_labels(frame, at)
  for _ = 1, MOST_LABELS do
    if at + 4 >= #frame then return 0, at end
    local bottom = bits(u8(frame, at + 2), 0, 1)
    at = at + 4
    if bottom == 1 then return LABELLED[bits(u8(frame, at), 4, 4)] or 0, at end
  end
  return 0, at
end

-- The headers of links without addresses, by their first bytes: their size. BSD loopback writes the
-- address family in the byte order of whoever captured.
local SMALL_LINKS = {
  [0x02000000] = 4, [0x00000002] = 4, [0x18000000] = 4, [0x00000018] = 4,
  [0x1C000000] = 4, [0x0000001C] = 4, [0x1E000000] = 4, [0x0000001E] = 4,
  [0xFF030021] = 4, [0xFF030057] = 4,
}
local COOKED_HEADER, COOKED_PROTOCOL, MOST_COOKED_KIND = 16, 14, 4

local function examine_other_link(frame)
  local at = SMALL_LINKS[u32(frame, 0)]
  local cooked = u16(frame, 0) <= MOST_COOKED_KIND
  if not at and cooked and NETWORKS[u16(frame, COOKED_PROTOCOL)] then at = COOKED_HEADER end
  if at and not examine_ipv4(frame, at, "") then examine_ipv6(frame, at, "") end
end

-- Suricata tells no script the link type. Only packets with an intact IP header reach one, so the
-- place where such a header lies tells: behind an Ethernet header, else (NFQUEUE, the inside of a
-- tunnel) at the start, else behind the header of another link.
local function examine_frame(frame)
  local kind, at, tags = u16(frame, 12), ETHERNET_HEADER, {}
  while TAG_TYPES[kind] and #tags < MOST_TAGS do
    tags[#tags + 1] = at
    kind = u16(frame, at + 2)
    at = at + TAG_SIZE
  end
  local whole = frame
  if kind == FABRIC_PATH then
    examine("ethernet", frame, "")
    return examine_frame(sub(frame, at + FABRIC_PATH_TAG + 1))
  end
  if kind == PPPOE_SESSION then
    kind, at, whole = inside_pppoe(frame, at)
  elseif MPLS[kind] then
    kind, at = inside_labels(frame, at)
  end
  local network = NETWORKS[kind]
  if network and network(whole, at, frame) then
    examine("ethernet", frame, "")
    for i = 1, #tags do examine("vlan", sub(frame, tags[i] + 1), frame) end
    return
  end
  if examine_ipv4(frame, 0, "") or examine_ipv6(frame, 0, "") then return end
  examine_other_link(frame)
end

function match(args)
  local flow = has_flow()
  if flow == ONE_RULE then return 0 end
  fired = {}
  examine_frame(packet_of(args))
  if ONE_RULE then
    local sid = calling_sid()
    for i = 1, #fired do
      if fired[i] == sid then return 1 end
    end
    return 0
  end
  if #fired > 0 then
    remember("/" .. table.concat(fired, "/") .. "/")
    for i = 1, #fired do
      if not LET_THROUGH[fired[i]] then return 1 end
    end
    return 0
  end
  local before = recall()
  if before and before ~= NONE then remember(NONE) end
  return 0
end
