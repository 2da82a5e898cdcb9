import type { ContainerStats } from '../../../api/container.ts';
import type { Client } from '../../../client/client.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import { bool, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { formatRows } from '../../output/rows.ts';
import { emptyStatsRow, STATS_FORMAT, statsRow } from '../../output/stats-row.ts';

export const stats = command({
  usage: '[OPTIONS] [CONTAINER...]',
  flags: {
    all: bool('Show all containers (default shows just running)', { short: 'a' }),
    format: string(FORMAT_HELP),
    'no-stream': bool('Disable streaming stats and only pull the first result'),
    'no-trunc': bool('Do not truncate output'),
  },
  args: { min: 0 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    const shown = new StatsTable(cli, client, {
      template: flags.format || (cli.config.document.statsFormat ?? ''),
      truncate: !flags['no-trunc'],
      keep: flags.all || args.length > 0,
    });
    const names = args.length > 0 ? args : (await client.containers.list({ all: flags.all })).map(({ Id }) => Id);
    if (flags['no-stream']) {
      await Promise.all(names.map((name) => shown.once(name)));
      if (shown.failure !== undefined) throw shown.failure;
      shown.draw(false);
      return 0;
    }
    const abort = new AbortController();
    process.once('SIGINT', () => abort.abort());
    process.once('SIGTERM', () => abort.abort());
    const ended = Promise.all([
      ...names.map((name) => shown.follow(name, abort.signal)),
      ...(args.length === 0 ? [shown.followNew(abort.signal)] : []),
    ]);
    const timer = setInterval(() => shown.draw(true), 500);
    try {
      await ended;
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    } finally {
      clearInterval(timer);
    }
    if (shown.failure !== undefined && shown.empty) throw shown.failure;
    return 0;
  },
});

/** The newest sample of each container, drawn as a whole. */
class StatsTable {
  failure: Error | undefined;
  readonly #cli: Cli;
  readonly #client: Client;
  readonly #options: { template: string; truncate: boolean; keep: boolean };
  readonly #samples = new Map<string, ContainerStats | undefined>();

  constructor(cli: Cli, client: Client, options: { template: string; truncate: boolean; keep: boolean }) {
    this.#cli = cli;
    this.#client = client;
    this.#options = options;
  }

  get empty(): boolean {
    return this.#samples.size === 0;
  }

  async once(name: string): Promise<void> {
    this.#samples.set(name, undefined);
    await this.#read(name, { stream: false });
  }

  async follow(name: string, signal: AbortSignal): Promise<void> {
    this.#samples.set(name, undefined);
    await this.#read(name, { stream: true, signal });
    if (!this.#options.keep) this.#samples.delete(name);
    else if (this.#samples.has(name)) this.#samples.set(name, undefined);
  }

  /** Containers that start later are shown too. */
  async followNew(signal: AbortSignal): Promise<void> {
    const started = new Set<Promise<void>>();
    try {
      for await (const event of this.#client.system.events({
        filters: new Map([
          ['type', ['container']],
          ['event', ['start']],
        ]),
        signal,
      })) {
        if (!this.#samples.has(event.Actor.ID)) started.add(this.follow(event.Actor.ID, signal));
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    await Promise.all(started);
  }

  draw(clear: boolean): void {
    const { stdout } = this.#cli.io;
    const rows = [...this.#samples].map(([name, sample]) =>
      sample ? statsRow(name, sample, this.#options) : emptyStatsRow(name),
    );
    const text = formatRows(STATS_FORMAT, rows, {
      template: this.#options.template,
      escape: stdout.isTTY,
      width: stdout.isTTY && this.#options.truncate ? stdout.columns : undefined,
    });
    stdout.write(
      clear && stdout.isTTY ? `\x1b[H${text.replaceAll('\n', '\x1b[K\n')}\x1b[J` : clear ? `\x1b[H${text}` : text,
    );
  }

  async #read(name: string, options: { stream: boolean; signal?: AbortSignal }): Promise<void> {
    try {
      for await (const sample of await this.#client.containers.stats(name, options)) this.#samples.set(name, sample);
    } catch (error) {
      if (options.signal?.aborted === true) return;
      this.failure ??= new CommandError(describeError(error));
      this.#samples.delete(name);
    }
  }
}
