import { EngineError } from '../../base/errors.ts';
import type { RouteNetlink } from '../../linux/netlink-route.ts';
import type { NetworkRecord } from '../../state/networks.ts';
import { macvlanMode } from './network-options.ts';

type Links = Pick<
  RouteNetlink,
  'link' | 'hasKind' | 'addDummy' | 'addVlan' | 'setAlias' | 'setUp' | 'removeLink' | 'links'
>;

/** Of the link that a network without a parent is beside, by Docker's names. */
export function parentName({ driver, id }: Pick<NetworkRecord, 'driver' | 'id'>): string {
  return `${driver === 'ipvlan' ? 'di-' : 'dm-'}${id.slice(0, 12)}`;
}

/**
 * The links of the host that macvlan and ipvlan networks are beside. What is missing is made: one that leads nowhere for a
 * network that names none, and the part of a link that a tag of a virtual LAN stands for (`eth0.10`). Made ones carry
 * `alias`, and go with the last network that is beside them.
 */
export class ParentLinks {
  readonly #links: Links;
  readonly #alias: string | undefined;

  constructor(links: Links, alias: string | undefined) {
    this.#links = links;
    this.#alias = alias;
  }

  /** Gives the index. Throws `invalid-argument` in Docker's words, `unimplemented` where the kernel has no such links. */
  ensure(record: NetworkRecord, all: readonly NetworkRecord[]): number {
    const { driver, interface: name } = record;
    if (driver !== 'macvlan' && driver !== 'ipvlan') throw new Error(`${driver} networks have no parent`);
    if (!this.#links.hasKind(driver)) {
      throw new EngineError(
        'unimplemented',
        `operation not supported: this host's kernel has no ${driver} links (CONFIG_${driver.toUpperCase()}): use ${driver === 'ipvlan' ? 'macvlan or ' : ''}bridge`,
      );
    }
    checkNeighbours(record, all);
    return (this.#links.link(name) ?? this.#make(record)).index;
  }

  /** Takes a link away that was made for the network, and that no other is beside. Idempotent. */
  withdraw({ id, interface: name }: NetworkRecord, all: readonly NetworkRecord[]): void {
    if (name === '' || this.#alias === undefined || all.some((one) => one.id !== id && one.interface === name)) return;
    const link = this.#links.link(name);
    if (link && link.alias === this.#alias && ['dummy', 'vlan'].includes(link.kind)) this.#links.removeLink(name);
  }

  #make(record: NetworkRecord): { readonly index: number } {
    const { interface: name } = record;
    const own = name === parentName(record);
    try {
      if (own) this.#links.addDummy(name);
      else this.#addVlan(name);
    } catch (error) {
      if ((error as { code?: string }).code !== 'EOPNOTSUPP') throw error;
      throw new EngineError(
        'unimplemented',
        own
          ? `operation not supported: this host's kernel has no dummy links (CONFIG_DUMMY), which a network without -o parent= is beside`
          : `failed to create ${name} vlan link: operation not supported by this host's kernel (CONFIG_VLAN_8021Q)`,
        { cause: error },
      );
    }
    const link = this.#links.link(name)!;
    if (this.#alias !== undefined) this.#links.setAlias(link.index, this.#alias);
    this.#links.setUp(link.index);
    return link;
  }

  #addVlan(name: string): void {
    const [, parent, tag] = /^(.+)\.(\d+)$/.exec(name) ?? [];
    const refuse = (words: string): EngineError => new EngineError('invalid-argument', words);
    if (parent === undefined) throw refuse(`invalid subinterface vlan name ${name}, example formatting is eth0.10`);
    const id = Number(tag);
    if (id < 1 || id > 4094) throw refuse(`vlan id must be between 1-4094, received: ${tag}`);
    const link = this.#links.link(parent);
    if (!link) throw refuse(`-o parent interface was not found on the host: ${parent}`);
    this.#links.addVlan({ name, parent: link.index, id });
  }
}

/** Two ipvlan networks cannot share a parent, and macvlan's passthru shares it with nobody. */
function checkNeighbours(record: NetworkRecord, all: readonly NetworkRecord[]): void {
  const { id, driver, interface: parent } = record;
  const others = all.filter((one) => one.id !== id && one.driver === driver && one.interface === parent);
  if (others.length === 0) return;
  const refuse = (words: string): EngineError => new EngineError('forbidden', words);
  if (driver === 'ipvlan') {
    throw refuse(`network ${parentName(others[0]!)} is already using parent interface ${parent}`);
  }
  const passthru = ({ options }: NetworkRecord): boolean => macvlanMode({ options }) === PASSTHRU;
  const first = others.find(passthru);
  if (first) throw refuse(`macvlan network ${first.id} is already using parent interface ${parent} in mode passthru`);
  if (!passthru(record)) return;
  throw refuse(
    `cannot use mode passthru, macvlan network ${others[0]!.id} is already using parent interface ${parent}`,
  );
}

const PASSTHRU = 8;
