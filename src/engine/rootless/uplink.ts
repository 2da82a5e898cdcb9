import { closeSync, openSync, readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EngineError } from '../../base/errors.ts';
import type { HostSockets } from '../../linux/host-sockets.ts';
import { identify, isAlive, type ProcessIdentity, signalProcess } from '../../linux/process.ts';
import { TOOL_PATH } from '../../linux/tool.ts';
import { findProgram } from '../programs.ts';

/** Addresses of the engine's side, and of what stands for the rest of the world. */
const ADDRESS = '10.0.2.100';
const GATEWAY = '10.0.2.2';
const INTERFACE = 'uplink0';
const MTU = 65_520;
const TERM = 15;
/** A program that ends sooner than this is not started again at once (milliseconds). */
const QUICK_END = 10_000;
const PAUSE = 5000;
const PATIENCE = 10_000;

/** Where the program finds the namespace's descriptor. */
const NAMESPACE = '/proc/self/fd/3';
/** Nothing is forwarded by itself, in neither direction, and the gateway is not the host's loopback. */
const PASTA = [
  '--foreground --quiet --stderr --config-net --no-map-gw --runas 0 -t none -u none -T none -U none',
  `--ns-ifname ${INTERFACE} --address ${ADDRESS} --netmask 24 --gateway ${GATEWAY}`,
  `--netns-only --netns ${NAMESPACE}`,
].flatMap((line) => line.split(' '));
const SLIRP4NETNS =
  `--configure --mtu=${MTU} --disable-host-loopback --disable-dns --netns-type=path ${NAMESPACE} ${INTERFACE}`.split(
    ' ',
  );

interface Program {
  readonly name: 'pasta' | 'slirp4netns';
  readonly path: string;
}

/**
 * The way out of the engine's network namespace: slirp4netns, else pasta, which copies packets to and from sockets of the
 * user in the host's network. It is a process of its own and outlives the engine, as containers do; one that ends is
 * started again. Nothing comes in through it: published ports are sockets of the host (`HostSockets`).
 */
export class Uplink {
  readonly #execRoot: string;
  readonly #network: number;
  readonly #host: HostSockets;
  readonly #report: (message: string) => void;
  #process: ProcessIdentity | undefined;
  #closed = false;

  private constructor(options: {
    execRoot: string;
    network: number;
    host: HostSockets;
    report: (message: string) => void;
  }) {
    this.#execRoot = options.execRoot;
    this.#network = options.network;
    this.#host = options.host;
    this.#report = options.report;
  }

  /** Takes over one that runs, or starts one. Where none can run it reports why: containers have each other then, and no more. */
  static async open(options: {
    readonly execRoot: string;
    /** Descriptor of the engine's network namespace. */
    readonly network: number;
    readonly host: HostSockets;
    readonly report: (message: string) => void;
  }): Promise<Uplink> {
    const uplink = new Uplink(options);
    const there = await uplink.#recorded();
    if (there && isAlive(there)) {
      uplink.#process = there;
      void uplink.#watchOther(there);
    } else await uplink.#start();
    return uplink;
  }

  /** The engine goes, and this goes on. */
  leave(): void {
    this.#closed = true;
  }

  /** Nothing needs it any more. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#process) signalProcess(this.#process, TERM);
    await rm(this.#file, { force: true });
  }

  get #file(): string {
    return join(this.#execRoot, 'uplink.json');
  }

  async #recorded(): Promise<ProcessIdentity | undefined> {
    try {
      const { pid, startTime } = JSON.parse(await readFile(this.#file, 'utf8')) as ProcessIdentity;
      return { pid, startTime };
    } catch {
      return undefined;
    }
  }

  /** Never rejects. */
  async #start(): Promise<void> {
    const began = performance.now();
    try {
      const program = chooseProgram();
      const child = this.#spawn(program);
      const identity = identify(child.pid);
      this.#process = identity;
      if (identity) await writeFile(this.#file, JSON.stringify(identity), { mode: 0o600 });
      const ended = child.exited.then(() => 'ended' as const);
      const state = await Promise.race([ended, this.#ready()]);
      if (state === 'ended') throw new EngineError('unavailable', `${program.name} ended: ${this.#lastWords()}`);
      if (state === 'late') this.#report(`${program.name} has made no interface within ${PATIENCE / 1000} s`);
      void ended.then(() => this.#again(program.name, began));
    } catch (error) {
      this.#report(`containers have no way out: ${(error as Error).message}`);
      if (error instanceof EngineError && error.code === 'not-found') return;
      void this.#later();
    }
  }

  #spawn({ name, path }: Program): { readonly pid: number; readonly exited: Promise<unknown> } {
    const nothing = openSync('/dev/null', 'r');
    const log = openSync(this.#log, 'w', 0o600);
    const argv = [name, ...(name === 'pasta' ? PASTA : SLIRP4NETNS)];
    try {
      return this.#host.spawn({
        path,
        argv,
        env: [TOOL_PATH],
        fds: [nothing, log, log, this.#network],
        cwd: '/',
        newSession: true,
      });
    } finally {
      closeSync(nothing);
      closeSync(log);
    }
  }

  get #log(): string {
    return join(this.#execRoot, 'uplink.log');
  }

  #lastWords(): string {
    const lines = readFileSync(this.#log, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.includes('syslog'));
    return lines.slice(-3).join('; ') || 'it said nothing';
  }

  /** The interface has its address when there is a route by it. */
  async #ready(): Promise<'ready' | 'late'> {
    for (const deadline = performance.now() + PATIENCE; performance.now() < deadline; await delay(10)) {
      if (readFileSync('/proc/net/route', 'latin1').includes(`${INTERFACE}\t00000000`)) return 'ready';
    }
    return 'late';
  }

  /** One that an earlier engine started is not our child. */
  async #watchOther(other: ProcessIdentity): Promise<void> {
    while (isAlive(other)) {
      await delay(2000, undefined, { ref: false });
      if (this.#closed) return;
    }
    await this.#again('the way out', performance.now() - QUICK_END);
  }

  async #again(name: string, began: number): Promise<void> {
    if (this.#closed) return;
    this.#report(`${name} ended, and is started again: connections to the outside are cut`);
    if (performance.now() - began < QUICK_END) return await this.#later();
    await this.#start();
  }

  async #later(): Promise<void> {
    await delay(PAUSE, undefined, { ref: false });
    if (!this.#closed) await this.#start();
  }
}

function chooseProgram(): Program {
  // what the pasta of March 2023 (Debian 12) gets from far away does not reach containers behind a bridge
  for (const name of ['slirp4netns', 'pasta'] as const) {
    const path = findProgram(name);
    if (path !== undefined) return { name, path };
  }
  throw new EngineError(
    'not-found',
    'neither slirp4netns nor pasta is installed: install one (Debian: apt-get install slirp4netns) and start the engine again',
  );
}
