-- The walk through a packet, that of procwire/decode, span for span: a span is the string from a
-- layer's first byte on, and a broken transport header belongs to its layer's malformed twin. Only
-- spans that RULES (layer -> {sid, rule, a text in small letters without which it is silent} in order)
-- asks for are made. ANSWERS: sid -> rule.
local ETHERNET_HEADER, TAG_SIZE, MOST_TAGS = 14, 4, 4
local PPPOE_SESSION, MPLS, MOST_LABELS = 0x8864, { [0x8847] = true, [0x8848] = true }, 16
local FABRIC_PATH, FABRIC_PATH_TAG = 0x8903, 2
local PPP_NETWORKS = { [0x0021] = 0x0800, [0x0057] = 0x86DD }
local LABELLED = { [4] = 0x0800, [6] = 0x86DD }
local TAG_TYPES = { [0x8100] = true, [0x88A8] = true, [0x9100] = true }

local fired, asked  -- sids; that of the only rule that matters, if one does

local function examine(layer, p, outer)
  if asked then
    if ANSWERS[asked](p, outer) then fired[#fired + 1] = asked end
    return
  end
  local rules, letters = RULES[layer], nil
  for i = 1, #rules do
    local rule = rules[i]
    local text = rule[3]
    if text and not letters then letters = p:lower() end
    if not text or seek(letters, text, 1, true) then
      if rule[2](p, outer) then fired[#fired + 1] = rule[1] end
    end
  end
end

-- What is known by its first bytes; where a port's layer has none, by the port and those. p: the
-- transport header alone, as rules on messages ask for its ports: a copy of all costs as much as they.
local function examine_segment(p, payload)
  local layer = layer_of_ports(p, OVER_TCP)
  local known = (not layer or layer == "smtp") and layer_of_start(payload)
  if known then
    if RULES[known] then examine(known, payload, p) end
    return
  end
  if not RULES[layer] then return end
  local start = BEGINS[layer](payload)
  if not start then return end
  if start > 0 then payload = sub(payload, start + 1) end
  examine(layer, payload, p)
end

local function examine_datagram(p, payload)
  local layer, size = layer_of_ports(p, OVER_UDP), u16(p, 4) - 8
  if size >= 0 and size < #payload then payload = sub(payload, 1, size) end
  if RULES[layer] and #payload > 0 then examine(layer, payload, p) end
end

-- Each returns the size of the transport header at offset `start` of the frame, nil if it is broken.
local function tcp_header(frame, start, finish)
  if finish - start < 20 then return nil end
  local words = byte(frame, start + 13)
  local header = (words - words % 16) / 4
  if header >= 20 and header <= finish - start then return header end
end

local function udp_header(frame, start, finish, at, version)
  if finish - start < 8 then return nil end
  local size = u16(frame, start + 4)
  -- RFC 2675 section 4: 0 where the IP header says 0, too.
  if size == 0 and u16(frame, at + (version == 4 and 2 or 4)) == 0 then return 8 end
  if size >= 8 and size <= finish - start then return 8 end
end

local function icmp_header(_, start, finish) return finish - start >= 8 and 8 or nil end

local TCP = { layer = "tcp", broken = "tcp_malformed", header = tcp_header, inside = examine_segment }
local UDP = { layer = "udp", broken = "udp_malformed", header = udp_header, inside = examine_datagram }
local ICMP_4 = { layer = "icmp4", broken = "icmp4_malformed", header = icmp_header }
local ICMP_6 = { layer = "icmp6", broken = "icmp6_malformed", header = icmp_header }
local TRANSPORTS = {
  [4] = { [1] = ICMP_4, [6] = TCP, [17] = UDP },
  [6] = { [58] = ICMP_6, [6] = TCP, [17] = UDP },
}

-- The packet whose header lies at offset `at` of the frame carries `protocol` from `start` to `finish`.
local function examine_transport(version, protocol, frame, at, start, finish)
  local transport = TRANSPORTS[version][protocol]
  if not transport then return end
  local header = transport.header(frame, start, finish, at, version)
  local layer = header and transport.layer or transport.broken
  if RULES[layer] then examine(layer, sub(frame, start + 1, finish), sub(frame, at + 1)) end
  if header and OF_MESSAGES and transport.inside then
    local behind = start + header
    transport.inside(sub(frame, start + 1, behind), sub(frame, behind + 1, finish))
  end
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

-- Examines the intact IPv4 packet at offset `at`. flags: they and the offset, as one number.
local function examine_intact(frame, at, outer, header, total, flags, protocol)
  if RULES.ipv4 then examine("ipv4", sub(frame, at + 1), outer) end
  if flags % 0x4000 == 0 then
    examine_transport(4, protocol, frame, at, at + header, at + total)
  end
end

-- Each examines the packet whose header lies at offset `at`; false if that header is not intact.
local function examine_ipv4(frame, at, outer)
  local header, total = ipv4_sizes(frame, at)
  if not header then return false end
  local flags, protocol = u16(frame, at + 6), u8(frame, at + 9)
  examine_intact(frame, at, outer, header, total, flags, protocol)
  return true
end

-- Most frames by one read: an intact IPv4 packet right behind an Ethernet header. False for others.
local function examine_plain(frame)
  local high, low, first, _, more, less, _, _, flags, rest, _, protocol = byte(frame, 13, 24)
  if high ~= 8 or low ~= 0 or not protocol or first < 0x45 or first > 0x4F then return false end
  local header, total = (first - 0x40) * 4, more * 256 + less
  if total < header or total > #frame - ETHERNET_HEADER then return false end
  examine_intact(frame, ETHERNET_HEADER, frame, header, total, flags * 256 + rest, protocol)
  return true
end

local function examine_ipv6(frame, at, outer)
  local size = ipv6_size(frame, at)
  if not size then return false end
  if RULES.ipv6 then examine("ipv6", sub(frame, at + 1), outer) end
  local finish = at + 40 + size
  local start, protocol = skip_extensions(frame, at + 40, finish, u8(frame, at + 6))
  if start then examine_transport(6, protocol, frame, at, start, finish) end
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
  if examine_plain(frame) then return end
  local kind, at, tags = u16(frame, 12), ETHERNET_HEADER, 0
  while TAG_TYPES[kind] and tags < MOST_TAGS do
    kind = u16(frame, at + 2)
    at = at + TAG_SIZE
    tags = tags + 1
  end
  local whole = frame
  if kind == FABRIC_PATH then return examine_frame(sub(frame, at + FABRIC_PATH_TAG + 1)) end
  if kind == PPPOE_SESSION then
    kind, at, whole = inside_pppoe(frame, at)
  elseif MPLS[kind] then
    kind, at = inside_labels(frame, at)
  end
  local network = NETWORKS[kind]
  if network and network(whole, at, frame) then return end
  if examine_ipv4(frame, 0, "") or examine_ipv6(frame, 0, "") then return end
  examine_other_link(frame)
end
