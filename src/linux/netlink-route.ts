import { closeSync } from 'node:fs';
import { duplicate } from './descriptor.ts';
import { SystemCallError } from './libc.ts';
import {
  attribute,
  cString,
  nested,
  type NetlinkRequest,
  NetlinkSocket,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  parseAttributes,
  stringAttribute,
  u16Attribute,
  u32Attribute,
  u32Of,
  u8Attribute,
  wholePayload,
} from './netlink.ts';
import type { NetworkNamespace } from './network-namespace.ts';

const NETLINK_ROUTE = 0;
const [RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK] = [16, 17, 18, 19];
const [RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR] = [20, 21, 22];
const [RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE] = [24, 25, 26];

const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  PROTINFO: 12,
  LINKINFO: 18,
  IFALIAS: 20,
  NET_NS_FD: 28,
};
const [IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER, IFLA_MACVLAN_MODE] = [1, 2, 1, 1];
const [IFLA_IPVLAN_MODE, IFLA_IPVLAN_FLAGS, IFLA_VLAN_ID] = [1, 2, 1];
const [IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED] = [4, 33];
const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 };
const IFA_F_NODAD = 2;
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, TABLE: 15 };
const [AF_INET, AF_INET6, AF_BRIDGE] = [2, 10, 7];
const IFF_UP = 1;
const NEW = NLM_F_CREATE | NLM_F_EXCL;
const [RT_TABLE_MAIN, RTPROT_BOOT, RTN_UNICAST] = [254, 3, 1];
const [RT_SCOPE_UNIVERSE, RT_SCOPE_LINK] = [0, 253];

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  /** Index of the bridge it is a port of; 0 for none. */
  readonly master: number;
  readonly mtu: number;
  /** Lower-case, with colons; empty where it has none. */
  readonly mac: string;
  /** `bridge`, `veth`, …; empty for hardware and the loopback. */
  readonly kind: string;
  /** What somebody wrote on it; mostly empty. */
  readonly alias: string;
}

/** An address as bytes (4 or 16) with the length of its prefix. */
export interface AddressBytes {
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

export interface Route {
  /** Undefined for a default route. */
  readonly destination: AddressBytes | undefined;
  readonly gateway: Uint8Array | undefined;
  /** Index of the link it leaves by. */
  readonly link: number;
  readonly family: 4 | 6;
  readonly table: number;
}

export interface VethPair {
  /** The end in this namespace, attached to `master` and up when it is returned. */
  readonly name: string;
  readonly master: number;
  readonly mtu: number;
  readonly peer: { readonly name: string; readonly mac: string; readonly namespace: NetworkNamespace };
}

export interface IpvlanLink {
  readonly name: string;
  /** Index. */
  readonly parent: number;
  readonly mode: number;
  readonly flags: number;
  readonly namespace: { readonly fd: number };
}

/** The attributes of RTM_NEWLINK for it (linux/if_link.h). */
export function ipvlanAttributes(options: IpvlanLink): Buffer[] {
  return [
    stringAttribute(IFLA.IFNAME, options.name),
    u32Attribute(IFLA.LINK, options.parent),
    u32Attribute(IFLA.NET_NS_FD, options.namespace.fd),
    nested(
      IFLA.LINKINFO,
      stringAttribute(IFLA_INFO_KIND, 'ipvlan'),
      nested(
        IFLA_INFO_DATA,
        u16Attribute(IFLA_IPVLAN_MODE, options.mode),
        u16Attribute(IFLA_IPVLAN_FLAGS, options.flags),
      ),
    ),
  ];
}

/** Links, addresses and routes of one network namespace (rtnetlink(7)). Synchronous. Failures are `SystemCallError`. */
export class RouteNetlink implements Disposable {
  readonly #socket: NetlinkSocket;

  /** Of the thread's own namespace, or of `namespace`. */
  constructor(namespace?: NetworkNamespace) {
    this.#socket = new NetlinkSocket(NETLINK_ROUTE, namespace);
  }

  links(): Link[] {
    return this.#socket.request(RTM_GETLINK, NLM_F_DUMP, linkHeader(), 'list links').map((m) => parseLink(m.payload));
  }

  /** Undefined when there is none of that name. */
  link(name: string): Link | undefined {
    try {
      const answer = this.#socket.request(RTM_GETLINK, 0, namedLink(name), `look up ${name}`);
      return answer[0] && parseLink(answer[0].payload);
    } catch (error) {
      if (error instanceof SystemCallError && error.code === 'ENODEV') return undefined;
      throw error;
    }
  }

  /** Throws EEXIST. It comes up when an address is set. */
  addBridge(
    name: string,
    options: { readonly mac: string; readonly mtu?: number | undefined; readonly alias?: string | undefined },
  ): void {
    this.#send(newBridge(name, options));
    // the kernel takes an alias of a link that is there, not of one that is being made
    if (options.alias !== undefined) this.#send(aliasOf(this.link(name)!.index, options.alias));
  }

  /** One call makes both ends, the peer in its own namespace from the beginning. */
  addVeth(pair: VethPair): void {
    this.#socket.request(RTM_NEWLINK, NEW, vethBody(pair, pair.peer.namespace.fd), `add veth ${pair.name}`);
  }

  /** Modes are the kernel's bits: private 1, vepa 2, bridge 4, passthru 8. Throws EOPNOTSUPP where the kernel has none. */
  addMacvlan(options: {
    readonly name: string;
    readonly parent: number;
    readonly mode: number;
    readonly mac: string;
    readonly namespace: NetworkNamespace;
  }): void {
    this.#createLink(`add macvlan ${options.name}`, [
      stringAttribute(IFLA.IFNAME, options.name),
      u32Attribute(IFLA.LINK, options.parent),
      attribute(IFLA.ADDRESS, macBytes(options.mac)),
      u32Attribute(IFLA.NET_NS_FD, options.namespace.fd),
      nested(
        IFLA.LINKINFO,
        stringAttribute(IFLA_INFO_KIND, 'macvlan'),
        nested(IFLA_INFO_DATA, u32Attribute(IFLA_MACVLAN_MODE, options.mode)),
      ),
    ]);
  }

  /** Modes: l2 0, l3 1, l3s 2. Flags: private 1, vepa 2. It has its parent's MAC. Throws EOPNOTSUPP where the kernel has none. */
  addIpvlan(options: IpvlanLink): void {
    this.#createLink(`add ipvlan ${options.name}`, ipvlanAttributes(options));
  }

  /** A link that leads nowhere. Throws EEXIST; EOPNOTSUPP where the kernel has none. */
  addDummy(name: string): void {
    this.#createLink(`add dummy ${name}`, [
      stringAttribute(IFLA.IFNAME, name),
      nested(IFLA.LINKINFO, stringAttribute(IFLA_INFO_KIND, 'dummy')),
    ]);
  }

  /** The part of the parent's traffic that has the tag `id` (IEEE 802.1Q). Throws EEXIST; EOPNOTSUPP where the kernel has none. */
  addVlan(options: { readonly name: string; readonly parent: number; readonly id: number }): void {
    this.#createLink(`add vlan ${options.name}`, [
      stringAttribute(IFLA.IFNAME, options.name),
      u32Attribute(IFLA.LINK, options.parent),
      nested(
        IFLA.LINKINFO,
        stringAttribute(IFLA_INFO_KIND, 'vlan'),
        nested(IFLA_INFO_DATA, u16Attribute(IFLA_VLAN_ID, options.id)),
      ),
    ]);
  }

  /** Whether the kernel, or a module that it can load, makes links of that kind beside others. One without a parent is none that it would make. */
  hasKind(kind: 'macvlan' | 'ipvlan'): boolean {
    try {
      this.#createLink(`look for ${kind}`, [nested(IFLA.LINKINFO, stringAttribute(IFLA_INFO_KIND, kind))]);
    } catch (error) {
      if (error instanceof SystemCallError) return error.code !== 'EOPNOTSUPP';
      throw error;
    }
    return true;
  }

  setAlias(index: number, alias: string): void {
    this.#send(aliasOf(index, alias));
  }

  #createLink(what: string, attributes: readonly Uint8Array[], flags = 0): void {
    const body = Buffer.concat([linkHeader({ flags, change: flags }), ...attributes]);
    this.#socket.request(RTM_NEWLINK, NEW, body, what);
  }

  setUp(index: number, up = true): void {
    this.#send(linkUp(index, up));
  }

  setMtu(index: number, mtu: number): void {
    const body = Buffer.concat([linkHeader({ index }), u32Attribute(IFLA.MTU, mtu)]);
    this.#socket.request(RTM_SETLINK, 0, body, `set mtu ${mtu} of link ${index}`);
  }

  /** Down it must be. */
  rename(index: number, name: string): void {
    const body = Buffer.concat([linkHeader({ index }), stringAttribute(IFLA.IFNAME, name)]);
    this.#socket.request(RTM_SETLINK, 0, body, `rename link ${index} to ${name}`);
  }

  /** Idempotent. Slow for a veth (15 to 30 ms in the kernel). */
  removeLink(name: string): void {
    this.#ignoring('ENODEV', () => this.#socket.request(RTM_DELLINK, 0, namedLink(name), `remove ${name}`));
  }

  /** Idempotent. IPv6 addresses are usable at once, without duplicate detection. */
  addAddress(index: number, address: AddressBytes): void {
    const request = addressOn(index, address);
    this.#ignoring(request.unless!, () => this.#send(request));
  }

  /** Idempotent. */
  removeAddress(index: number, address: AddressBytes): void {
    this.#ignoring('EADDRNOTAVAIL', () =>
      this.#socket.request(
        RTM_DELADDR,
        0,
        Buffer.concat([addressHeader(index, address), attribute(IFA.LOCAL, address.bytes)]),
        `remove an address of link ${index}`,
      ),
    );
  }

  addresses(): (AddressBytes & { readonly link: number })[] {
    const answer = this.#socket.request(RTM_GETADDR, NLM_F_DUMP, Buffer.alloc(8), 'list addresses');
    return answer.map(({ payload }) => parseAddressMessage(payload));
  }

  /** Replaces the default route of the gateway's family. Without a gateway the destination is on the link. */
  setRoute(route: {
    readonly destination?: AddressBytes;
    readonly gateway?: Uint8Array;
    readonly link: number;
    readonly metric?: number;
  }): void {
    this.#send(routeBy(route));
  }

  /** Idempotent. */
  removeRoute(route: {
    readonly destination?: AddressBytes;
    readonly gateway?: Uint8Array;
    readonly link: number;
  }): void {
    this.#ignoring('ESRCH', () =>
      this.#socket.request(RTM_DELROUTE, 0, routeBody(route), `remove a route by link ${route.link}`),
    );
  }

  routes(): Route[] {
    const answer = this.#socket.request(RTM_GETROUTE, NLM_F_DUMP, Buffer.alloc(12), 'list routes');
    return answer.map(({ payload }) => parseRoute(payload));
  }

  #send({ type, flags, body, what }: NetlinkRequest): void {
    this.#socket.request(type, flags, body, what);
  }

  #ignoring(code: string, work: () => unknown): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof SystemCallError && error.code === code)) throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What `changeLinks` asks for, as the methods of `RouteNetlink` do one after the other. */
export function newBridge(
  name: string,
  options: { readonly mac: string; readonly mtu?: number | undefined },
): NetlinkRequest {
  const attributes = [
    stringAttribute(IFLA.IFNAME, name),
    attribute(IFLA.ADDRESS, macBytes(options.mac)),
    ...(options.mtu === undefined ? [] : [u32Attribute(IFLA.MTU, options.mtu)]),
    nested(IFLA.LINKINFO, stringAttribute(IFLA_INFO_KIND, 'bridge')),
  ];
  return {
    type: RTM_NEWLINK,
    flags: NEW,
    body: Buffer.concat([linkHeader(), ...attributes]),
    what: `add bridge ${name}`,
  };
}

export function aliasOf(index: number, alias: string): NetlinkRequest {
  const body = Buffer.concat([linkHeader({ index }), attribute(IFLA.IFALIAS, Buffer.from(alias))]);
  return { type: RTM_SETLINK, flags: 0, body, what: `set alias of link ${index}` };
}

export function linkUp(index: number, up = true): NetlinkRequest {
  const body = linkHeader({ index, flags: up ? IFF_UP : 0, change: IFF_UP });
  return { type: RTM_SETLINK, flags: 0, body, what: `set link ${index} ${up ? 'up' : 'down'}` };
}

/** An isolated port exchanges frames with the bridge itself and with ports that are not isolated, never with its own kind. */
export function portFlags(
  index: number,
  flags: { readonly isolated?: boolean; readonly hairpin?: boolean },
): NetlinkRequest {
  const attributes = [];
  if (flags.isolated !== undefined) attributes.push(u8Attribute(IFLA_BRPORT_ISOLATED, flags.isolated ? 1 : 0));
  if (flags.hairpin !== undefined) attributes.push(u8Attribute(IFLA_BRPORT_MODE, flags.hairpin ? 1 : 0));
  const body = Buffer.concat([linkHeader({ index, family: AF_BRIDGE }), nested(IFLA.PROTINFO, ...attributes)]);
  return { type: RTM_SETLINK, flags: 0, body, what: `set flags of bridge port ${index}` };
}

export function addressOn(index: number, address: AddressBytes): NetlinkRequest {
  const v6 = address.bytes.length === 16;
  const attributes = [attribute(IFA.LOCAL, address.bytes), attribute(IFA.ADDRESS, address.bytes)];
  if (v6) attributes.push(u32Attribute(IFA.FLAGS, IFA_F_NODAD));
  else if (address.prefix < 31) attributes.push(attribute(IFA.BROADCAST, broadcast(address)));
  const body = Buffer.concat([addressHeader(index, address), ...attributes]);
  const what = `add an address to link ${index}`;
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, body, what, unless: 'EEXIST' };
}

export function routeBy(route: Parameters<typeof routeBody>[0]): NetlinkRequest {
  const what = `add a route by link ${route.link}`;
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, body: routeBody(route), what };
}

/**
 * Links of the thread's own namespace, or of `namespace`, are changed while a thread of Node's pool waits: the kernel works
 * on one such request at a time for the whole host, and takes 50 ms for some. One that is refused keeps none of the others
 * from being done. Throws the first refusal.
 */
export async function changeLinks(changes: readonly NetlinkRequest[], namespace?: NetworkNamespace): Promise<void> {
  using socket = new NetlinkSocket(NETLINK_ROUTE, namespace);
  await socket.requestAside(...changes);
}

/** As `RouteNetlink.link`, by a thread of Node's pool. */
export async function findLink(name: string, namespace?: NetworkNamespace): Promise<Link | undefined> {
  using socket = new NetlinkSocket(NETLINK_ROUTE, namespace);
  const [answer] = await socket.requestAside({ ...lookUp(name), unless: 'ENODEV' });
  return answer![0] && parseLink(answer![0].payload);
}

/** Names of all links of a namespace, by a thread of Node's pool. */
export async function linkNames(namespace: NetworkNamespace): Promise<string[]> {
  using socket = new NetlinkSocket(NETLINK_ROUTE, namespace);
  const all = { type: RTM_GETLINK, flags: NLM_F_DUMP, body: linkHeader(), what: 'list links' };
  const [answer] = await socket.requestAside(all);
  return answer!.map(({ payload }) => parseLink(payload).name);
}

function lookUp(name: string): NetlinkRequest {
  return { type: RTM_GETLINK, flags: 0, body: namedLink(name), what: `look up ${name}` };
}

/**
 * As `RouteNetlink.addVeth`, between the thread's own namespace and the peer's, while a thread of Node's pool waits: the
 * kernel takes a millisecond, and many more where others change links at the same time. Gives the index of the end here.
 */
export async function addVethAside(pair: VethPair): Promise<number> {
  using socket = new NetlinkSocket(NETLINK_ROUTE);
  // Whatever happens meanwhile, the number stands for this namespace.
  const namespace = duplicate(pair.peer.namespace.fd);
  try {
    const add = { type: RTM_NEWLINK, flags: NEW, body: vethBody(pair, namespace), what: `add veth ${pair.name}` };
    const [, made] = await socket.requestAside(add, lookUp(pair.name));
    return parseLink(made![0]!.payload).index;
  } finally {
    closeSync(namespace);
  }
}

function vethBody({ name, master, mtu, peer }: VethPair, peerNamespace: number): Buffer {
  const other = Buffer.concat([
    linkHeader(),
    stringAttribute(IFLA.IFNAME, peer.name),
    attribute(IFLA.ADDRESS, macBytes(peer.mac)),
    u32Attribute(IFLA.MTU, mtu),
    u32Attribute(IFLA.NET_NS_FD, peerNamespace),
  ]);
  return Buffer.concat([
    linkHeader({ flags: IFF_UP, change: IFF_UP }),
    stringAttribute(IFLA.IFNAME, name),
    u32Attribute(IFLA.MTU, mtu),
    u32Attribute(IFLA.MASTER, master),
    nested(
      IFLA.LINKINFO,
      stringAttribute(IFLA_INFO_KIND, 'veth'),
      nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, other)),
    ),
  ]);
}

/**
 * Takes a link away, of the thread's own namespace or of `namespace`, while a thread of Node's pool waits: for a bridge the
 * kernel takes 10 to 50 ms. Idempotent.
 */
export async function removeLinkAside(
  { index, name }: Pick<Link, 'index' | 'name'>,
  namespace?: NetworkNamespace,
): Promise<void> {
  using socket = new NetlinkSocket(NETLINK_ROUTE, namespace);
  const body = linkHeader({ index });
  await socket.requestAside({ type: RTM_DELLINK, flags: 0, body, what: `remove ${name}`, unless: 'ENODEV' });
}

function namedLink(name: string): Buffer {
  return Buffer.concat([linkHeader(), stringAttribute(IFLA.IFNAME, name)]);
}

/** struct ifinfomsg */
function linkHeader(fields: { index?: number; flags?: number; change?: number; family?: number } = {}): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt8(fields.family ?? 0, 0);
  header.writeInt32LE(fields.index ?? 0, 4);
  header.writeUInt32LE(fields.flags ?? 0, 8);
  header.writeUInt32LE(fields.change ?? 0, 12);
  return header;
}

/** struct ifaddrmsg */
function addressHeader(index: number, address: AddressBytes): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(address.bytes.length === 16 ? AF_INET6 : AF_INET, 0);
  header.writeUInt8(address.prefix, 1);
  header.writeUInt32LE(index, 4);
  return header;
}

/** struct rtmsg and its attributes */
function routeBody(route: {
  readonly destination?: AddressBytes;
  readonly gateway?: Uint8Array;
  readonly link: number;
  readonly metric?: number;
}): Buffer {
  const header = Buffer.alloc(12);
  const v6 = (route.destination?.bytes ?? route.gateway)?.length === 16;
  header.writeUInt8(v6 ? AF_INET6 : AF_INET, 0);
  header.writeUInt8(route.destination?.prefix ?? 0, 1);
  header.writeUInt8(RT_TABLE_MAIN, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  const attributes = [u32Attribute(RTA.OIF, route.link)];
  if (route.destination) attributes.push(attribute(RTA.DST, route.destination.bytes));
  if (route.gateway) attributes.push(attribute(RTA.GATEWAY, route.gateway));
  if (route.metric !== undefined) attributes.push(u32Attribute(RTA.PRIORITY, route.metric));
  return Buffer.concat([header, ...attributes]);
}

/** An answer's struct ifinfomsg and its attributes. */
export function parseLink(payload: Buffer): Link {
  const attributes = parseAttributes(wholePayload(payload, 16, 'link').subarray(16));
  const info = attributes.get(IFLA.LINKINFO);
  const kind = info && parseAttributes(info).get(IFLA_INFO_KIND);
  const mac = attributes.get(IFLA.ADDRESS);
  const name = attributes.get(IFLA.IFNAME);
  const alias = attributes.get(IFLA.IFALIAS);
  return {
    index: payload.readInt32LE(4),
    name: name ? cString(name) : '',
    up: (payload.readUInt32LE(8) & IFF_UP) !== 0,
    master: u32Of(attributes, IFLA.MASTER),
    mtu: u32Of(attributes, IFLA.MTU),
    mac: mac ? [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':') : '',
    kind: kind ? cString(kind) : '',
    alias: alias ? cString(alias) : '',
  };
}

/** An answer's struct ifaddrmsg and its attributes. */
export function parseAddressMessage(payload: Buffer): AddressBytes & { readonly link: number } {
  const attributes = parseAttributes(wholePayload(payload, 8, 'address').subarray(8));
  const bytes = attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS) ?? Buffer.alloc(4);
  return { bytes, prefix: payload.readUInt8(1), link: payload.readUInt32LE(4) };
}

/** An answer's struct rtmsg and its attributes. */
export function parseRoute(payload: Buffer): Route {
  const attributes = parseAttributes(wholePayload(payload, 12, 'route').subarray(12));
  const destination = attributes.get(RTA.DST);
  return {
    destination: destination && { bytes: destination, prefix: payload.readUInt8(1) },
    gateway: attributes.get(RTA.GATEWAY),
    link: u32Of(attributes, RTA.OIF),
    family: payload.readUInt8(0) === AF_INET6 ? 6 : 4,
    table: attributes.has(RTA.TABLE) ? u32Of(attributes, RTA.TABLE) : payload.readUInt8(4),
  };
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(/[:-]/g, ''), 'hex');
}

function broadcast(address: AddressBytes): Uint8Array {
  return address.bytes.map((byte, at) => {
    const hostBits = Math.min(8, Math.max(0, (at + 1) * 8 - address.prefix));
    return byte | (2 ** hostBits - 1);
  });
}
