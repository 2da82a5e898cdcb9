/**
 * The engine's rules as nftables text (nft(8)). Pure: the same state gives the same text, so that a restarted engine
 * replaces its table by an equal one. One table holds everything; other tables are neither read nor changed.
 *
 * What is fixed per bridge are rules, what comes and goes with containers are elements of maps: a container without
 * published ports changes nothing.
 */
export interface FirewallState {
  readonly bridges: readonly FirewallBridge[];
  readonly ports: readonly PublishedPort[];
  /** Clients other than the host itself are not translated: they come to the engine's socket, by the host's own rules for input. */
  readonly relayed: boolean;
}

/**
 * How the world reaches a network's containers, by family: `nat` by published ports of the host, `nat-unprotected` also by
 * their own addresses, `routed` by their own addresses alone, where a port is published; `isolated`: the host itself has no
 * address there.
 */
export type GatewayMode = 'nat' | 'nat-unprotected' | 'routed' | 'isolated';

export interface FirewallBridge {
  /** Its interface. */
  readonly name: string;
  /** With prefix, of both families. */
  readonly subnets: readonly string[];
  /** What leaves gets the host's address. */
  readonly masquerade: boolean;
  /** No way in or out. */
  readonly internal: boolean;
  /** Containers may talk to each other. */
  readonly communication: boolean;
  readonly modes: Readonly<Record<4 | 6, GatewayMode>>;
  /** Interfaces of the host from which published ports are reached by the container's own address, too; `any` is other hosts altogether. */
  readonly trusted: readonly string[] | 'any';
}

export interface PublishedPort {
  /** The host's address; undefined is every address of the target's family. */
  readonly hostAddress: string | undefined;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** Undefined opens the container's own address only. */
  readonly hostPort: number | undefined;
  /** The container's. */
  readonly address: string;
  readonly port: number;
}

/** One transaction that makes the table hold exactly `state`. */
export function replaceTable(table: string, state: FirewallState): string {
  return `table inet ${table} {}\ndelete table inet ${table}\n${tableText(table, state)}`;
}

/** Idempotent. */
export function removeTable(table: string): string {
  return `table inet ${table} {}\ndelete table inet ${table}\n`;
}

export function changePorts(table: string, verb: 'add' | 'delete', ports: readonly PublishedPort[]): string {
  let text = '';
  for (const [map, elements] of portElements(ports)) {
    const named = verb === 'add' ? elements : elements.map((element) => element.split(' : ')[0]!);
    text += `${verb} element inet ${table} ${map} { ${named.join(', ')} }\n`;
  }
  return text;
}

function tableText(table: string, state: FirewallState): string {
  const { bridges } = state;
  const ports = portElements(state.ports);
  const names = (wanted: readonly FirewallBridge[]): string[] => wanted.map((bridge) => `"${bridge.name}"`);
  const masqueraded = bridges
    .filter((bridge) => bridge.masquerade && !bridge.internal)
    .flatMap(({ subnets, modes }) => subnets.filter((subnet) => modes[isIpv4(subnet) ? 4 : 6] !== 'routed'));
  const map = (name: string, type: string): string =>
    `  map ${name} {\n    type ${type}\n${elementsText(ports.get(name) ?? [])}  }\n`;
  return [
    `table inet ${table} {\n`,
    `  set bridges {\n    type ifname\n${elementsText(names(bridges))}  }\n`,
    `  set internal {\n    type ifname\n${elementsText(names(bridges.filter((bridge) => bridge.internal)))}  }\n`,
    `  set masquerade4 {\n    type ipv4_addr\n    flags interval\n${elementsText(masqueraded.filter(isIpv4))}  }\n`,
    `  set masquerade6 {\n    type ipv6_addr\n    flags interval\n${elementsText(masqueraded.filter(isIpv6))}  }\n`,
    ...([4, 6] as const).map((family) =>
      set(`direct${family}`, `ipv${family}_addr . inet_proto . inet_service`, ports.get(`direct${family}`) ?? []),
    ),
    map('publish4', 'ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service'),
    map('publish6', 'ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service'),
    map('publish4_any', 'inet_proto . inet_service : ipv4_addr . inet_service'),
    map('publish6_any', 'inet_proto . inet_service : ipv6_addr . inet_service'),
    chain('bridge_input', BRIDGE_INPUT),
    chain('publish', PUBLISH),
    ...(state.relayed ? [] : [chain('prerouting', prerouting(bridges))]),
    chain('output', OUTPUT),
    chain('forwarding', [
      'type filter hook forward priority filter; policy accept;',
      'ct state established,related accept',
      // a bridge to itself: routed traffic between containers of one network
      ...bridges
        .filter((bridge) => bridge.communication)
        .map((bridge) => `iifname "${bridge.name}" oifname "${bridge.name}" accept`),
      'iifname @internal drop',
      'oifname @internal drop',
      'ct status dnat accept',
      ...bridges.flatMap(directLines),
      'oifname @bridges drop',
    ]),
    chain('postrouting', [
      'type nat hook postrouting priority srcnat; policy accept;',
      // a client on the host's loopback: the answer must come back through the bridge
      'oifname @bridges ip saddr 127.0.0.0/8 masquerade',
      // a container reaching its own network through a published port: the answer must not take the short way
      ...bridges.flatMap((bridge) =>
        bridge.subnets.map(
          (subnet) =>
            `oifname "${bridge.name}" ${isIpv4(subnet) ? 'ip' : 'ip6'} saddr ${subnet} ct status dnat masquerade`,
        ),
      ),
      'oifname != @bridges ip saddr @masquerade4 masquerade',
      'oifname != @bridges ip6 saddr @masquerade6 masquerade',
    ]),
    '}\n',
  ].join('');
}

/** By the containers' own addresses, from other links than their bridge. */
function directLines({ name, modes, trusted }: FirewallBridge): string[] {
  return ([4, 6] as const).flatMap((family) => {
    const [ip, icmp] = family === 4 ? ['ip', 'icmp'] : ['ip6', 'ipv6-icmp'];
    const published = `${ip} daddr . meta l4proto . th dport @direct${family} accept`;
    const there = `iifname != "${name}" oifname "${name}"`;
    if (modes[family] === 'nat-unprotected') {
      return [`iifname != @bridges oifname "${name}" meta nfproto ipv${family} accept`];
    }
    if (modes[family] === 'routed') return [`${there} meta l4proto ${icmp} accept`, `${there} ${published}`];
    if (modes[family] === 'isolated' || trusted.length === 0) return [];
    if (trusted === 'any') return [`iifname != @bridges oifname "${name}" ${published}`];
    const links = trusted.map((link) => `"${link}"`).join(', ');
    return [`iifname { ${links} } oifname "${name}" ${published}`];
  });
}

/** route_localnet is on for our bridges, so that 127.0.0.1 can be published: containers must not use it the other way. */
const BRIDGE_INPUT = [
  'type filter hook prerouting priority raw; policy accept;',
  'iifname @bridges ip daddr 127.0.0.0/8 drop',
  'iifname @bridges ip saddr 127.0.0.0/8 drop',
];

const PUBLISH = [
  'dnat ip to ip daddr . meta l4proto . th dport map @publish4',
  'dnat ip to meta l4proto . th dport map @publish4_any',
  'dnat ip6 to ip6 daddr . meta l4proto . th dport map @publish6',
  'dnat ip6 to meta l4proto . th dport map @publish6_any',
];

/** Only what is addressed to this host, and 127.0.0.0/8 never from outside: a neighbour can route such packets to us. */
function prerouting(bridges: readonly FirewallBridge[]): string[] {
  // where br_netfilter is on, a translated packet that returns to its bridge never leaves it, and isolated ports do not talk
  const silent = bridges.filter((bridge) => !bridge.communication && !bridge.internal);
  return [
    'type nat hook prerouting priority dstnat; policy accept;',
    'ip daddr 127.0.0.0/8 return',
    ...silent.map((bridge) => `iifname "${bridge.name}" return`),
    'fib daddr type local jump publish',
  ];
}

/** The kernel does not route from ::1 to another link (there is no route_localnet of IPv6): the engine relays what comes there. */
const OUTPUT = [
  'type nat hook output priority -100; policy accept;',
  'ip6 daddr ::1 return',
  'fib daddr type local jump publish',
];

function chain(name: string, lines: readonly string[]): string {
  return `  chain ${name} {\n${lines.map((line) => `    ${line}\n`).join('')}  }\n`;
}

function elementsText(elements: readonly string[]): string {
  return elements.length === 0 ? '' : `    elements = { ${elements.join(', ')} }\n`;
}

function set(name: string, type: string, elements: readonly string[]): string {
  return `  set ${name} {\n    type ${type}\n${elementsText(elements)}  }\n`;
}

/** By map or set. */
function portElements(ports: readonly PublishedPort[]): Map<string, string[]> {
  const maps = new Map<string, string[]>();
  for (const port of ports) {
    const family = isIpv4(port.address) ? 4 : 6;
    if (port.hostPort === undefined) {
      const direct = maps.get(`direct${family}`) ?? [];
      maps.set(`direct${family}`, [...direct, `${port.address} . ${port.protocol} . ${port.port}`]);
      continue;
    }
    const map = `publish${family}${port.hostAddress === undefined ? '_any' : ''}`;
    const key = [...(port.hostAddress === undefined ? [] : [port.hostAddress]), port.protocol, port.hostPort];
    const elements = maps.get(map) ?? [];
    elements.push(`${key.join(' . ')} : ${port.address} . ${port.port}`);
    maps.set(map, elements);
  }
  return maps;
}

function isIpv4(text: string): boolean {
  return !text.includes(':');
}

function isIpv6(text: string): boolean {
  return text.includes(':');
}
