import {
  changePorts,
  type FirewallBridge,
  type FirewallState,
  type PublishedPort,
  removeTable,
  replaceTable,
} from './firewall.ts';

/**
 * The engine's table as it should be, and the one place that changes it in the kernel. Changes that are asked for while a
 * transaction runs go together in the next one: a commit costs the kernel some ten milliseconds, however much is in it.
 */
export class FirewallTable {
  readonly name: string;
  readonly #apply: (text: string) => Promise<void>;
  readonly #relayed: boolean;
  readonly #bridges = new Map<string, FirewallBridge>();
  readonly #ports = new Map<string, readonly PublishedPort[]>();
  #pending = '';
  #replace = false;
  #present = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(
    name: string,
    apply: (text: string) => Promise<void>,
    options: Pick<FirewallState, 'relayed'> = { relayed: false },
  ) {
    this.name = name;
    this.#apply = apply;
    this.#relayed = options.relayed;
  }

  /** Idempotent: a bridge that is there as described changes nothing. */
  async setBridge(bridge: FirewallBridge): Promise<void> {
    const known = this.#bridges.get(bridge.name);
    if (known && JSON.stringify(known) === JSON.stringify(bridge)) {
      // the first to ask may still be waiting for the kernel
      if (this.#replace || !this.#present) await this.#flush();
      return;
    }
    this.#bridges.set(bridge.name, bridge);
    this.#replace = true;
    await this.#flush();
  }

  async removeBridge(name: string): Promise<void> {
    if (!this.#bridges.delete(name)) return;
    this.#replace = true;
    await this.#flush();
  }

  /** Of a container, in addition to those it has. */
  async addPorts(owner: string, ports: readonly PublishedPort[]): Promise<void> {
    if (ports.length === 0) return;
    this.#ports.set(owner, [...(this.#ports.get(owner) ?? []), ...ports]);
    this.#pending += changePorts(this.name, 'add', ports);
    await this.#flush();
  }

  async removePorts(owner: string): Promise<void> {
    await this.setPorts(owner, []);
  }

  /** All that a container has, in one transaction. */
  async setPorts(owner: string, ports: readonly PublishedPort[]): Promise<void> {
    const before = this.#ports.get(owner) ?? [];
    const added = ports.filter((port) => !before.some((other) => isSame(port, other)));
    const removed = before.filter((port) => !ports.some((other) => isSame(port, other)));
    if (added.length === 0 && removed.length === 0) return;
    if (ports.length > 0) this.#ports.set(owner, ports);
    else this.#ports.delete(owner);
    this.#pending += changePorts(this.name, 'delete', removed) + changePorts(this.name, 'add', added);
    await this.#flush();
  }

  /** Takes over what an earlier engine's table holds, without touching the kernel; `rebuild` follows. */
  adopt(owner: string, ports: readonly PublishedPort[]): void {
    this.#ports.set(owner, [...(this.#ports.get(owner) ?? []), ...ports]);
  }

  adoptBridge(bridge: FirewallBridge): void {
    this.#bridges.set(bridge.name, bridge);
  }

  /** Makes the kernel's table what it should be, in one transaction. */
  async rebuild(): Promise<void> {
    this.#replace = true;
    await this.#flush();
  }

  /** Makes it again when somebody took it away (`nft flush ruleset`, a firewall's reload). Says whether that was so. */
  async reassert(isThere: (table: string) => boolean): Promise<boolean> {
    if (!this.#present || this.#running || isThere(this.name)) return false;
    await this.rebuild();
    return true;
  }

  /** Resolves, never rejects, when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running.catch(() => undefined);
  }

  get #state(): FirewallState {
    // in an order that does not depend on who came first: a new engine makes the same table
    const bridges = [...this.#bridges.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return { bridges, ports: [...this.#ports.values()].flat(), relayed: this.#relayed };
  }

  /** Resolves when everything asked for so far is in the kernel. */
  #flush(): Promise<void> {
    if (!this.#running) {
      this.#running = this.#commit().finally(() => (this.#running = undefined));
      return this.#running;
    }
    const after = (): Promise<void> => {
      this.#next = undefined;
      return this.#flush();
    };
    this.#next ??= this.#running.then(after, after);
    return this.#next;
  }

  async #commit(): Promise<void> {
    const replace = this.#replace || !this.#present;
    const changes = this.#pending;
    this.#pending = '';
    this.#replace = false;
    if (!replace) {
      if (changes === '') return;
      try {
        await this.#apply(changes);
        return;
      } catch {
        // somebody flushed the tables, or elements are not as we think: put all of it right in one go
      }
    }
    const state = this.#state;
    this.#present = false;
    await this.#apply(state.bridges.length === 0 ? removeTable(this.name) : replaceTable(this.name, state));
    this.#present = state.bridges.length > 0;
  }
}

function isSame(a: PublishedPort, b: PublishedPort): boolean {
  return (
    a.hostAddress === b.hostAddress &&
    a.protocol === b.protocol &&
    a.hostPort === b.hostPort &&
    a.address === b.address &&
    a.port === b.port
  );
}
