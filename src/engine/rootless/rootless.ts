import { access } from 'node:fs/promises';
import { HostSockets } from '../../linux/host-sockets.ts';
import { NetworkNamespace } from '../../linux/network-namespace.ts';
import { isAlive, signalProcess } from '../../linux/process.ts';
import { recordedMonitors } from '../../runtime/conmon-monitor.ts';
import { forgetHolder, recordedHolder } from './enter.ts';
import { Uplink } from './uplink.ts';

const TERM = 15;

/** What an engine without root has beside the engine: the host's sockets, and the way out of its own network. */
export class Rootless {
  readonly host: HostSockets;
  readonly #uplink: Uplink;
  readonly #execRoot: string;

  private constructor(host: HostSockets, uplink: Uplink, execRoot: string) {
    this.host = host;
    this.#uplink = uplink;
    this.#execRoot = execRoot;
  }

  /** Moves this process into the network namespace for good. Nothing else may run in it yet. */
  static async open(options: {
    readonly execRoot: string;
    readonly network: number;
    readonly report: (message: string) => void;
  }): Promise<Rootless> {
    const host = await HostSockets.open();
    // The threads of Node's pool stay behind, too: they look names up, with the host's servers.
    await access('/');
    NetworkNamespace.of(options.network).enter();
    const uplink = await Uplink.open({ ...options, host });
    return new Rootless(host, uplink, options.execRoot);
  }

  /** After the engine's end: where no container runs, nothing of the namespaces is kept. */
  async close(): Promise<void> {
    if (recordedMonitors(this.#execRoot).some(isAlive)) this.#uplink.leave();
    else {
      await this.#uplink.close();
      for (const holder of recordedHolder(this.#execRoot)) signalProcess(holder, TERM);
      forgetHolder(this.#execRoot);
    }
    await this.host.close();
  }
}
