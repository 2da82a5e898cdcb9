import { errorMessage } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { asText } from '../model/value.ts';
import { runHook } from '../project/hooks.ts';
import { observeContainers } from '../project/observe.ts';
import { all } from '../project/parallel.ts';
import type { Project, Service } from '../project/project.ts';
import { pathsOf, syncPaths } from './sync.ts';
import { type WatchRule, watchRules } from './rule.ts';
import { TreeWatcher } from './tree-watcher.ts';

export interface WatcherOptions {
  readonly services: ReadonlyMap<string, Service>;
  /** Builds a service's image and puts new containers in the place of the old. */
  readonly rebuild: (service: Service) => Promise<void>;
  readonly say: (message: string) => void;
  readonly warn: (message: string) => void;
}

/** Keeps containers as `develop.watch` says while files of the host change. Changes are worked off one batch after the other. */
export class Watcher {
  readonly #client: Client;
  readonly #project: Project;
  readonly #options: WatcherOptions;
  readonly #rules: readonly WatchRule[];
  #waiting = new Set<string>();
  #working: Promise<void> | undefined;

  constructor(client: Client, project: Project, options: WatcherOptions) {
    this.#client = client;
    this.#project = project;
    this.#options = options;
    this.#rules = watchRules(options.services.values());
  }

  /** Whether any service is to be watched. */
  get watches(): boolean {
    return this.#rules.length > 0;
  }

  /** Until `signal` says stop. */
  async run(signal: AbortSignal): Promise<void> {
    const { warn, say } = this.#options;
    const watcher = new TreeWatcher({
      paths: [...new Set(this.#rules.map((rule) => rule.path))],
      skips: (path) => {
        const own = this.#rules.filter((rule) => path === rule.path || path.startsWith(`${rule.path}/`));
        return own.length > 0 && own.every((rule) => rule.skips(path));
      },
      onChanges: (paths) => {
        for (const path of paths) this.#waiting.add(path);
        this.#working ??= this.#work().finally(() => (this.#working = undefined));
      },
      onError: (error) => warn(errorMessage(error)),
    });
    try {
      // After the watch began: what changes meanwhile is seen.
      for (const rule of this.#rules) if (rule.syncs && rule.initialSync) await this.#sync(rule, pathsOf(rule));
      say('Watch enabled');
      if (!signal.aborted)
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    } finally {
      watcher.close();
      await this.#working;
    }
  }

  async #work(): Promise<void> {
    while (this.#waiting.size > 0) {
      const paths = [...this.#waiting].sort();
      this.#waiting = new Set();
      try {
        await this.#apply(paths);
      } catch (error) {
        // One failure does not end the watch: the next save may mend it.
        this.#options.warn(errorMessage(error));
      }
    }
  }

  async #apply(paths: readonly string[]): Promise<void> {
    const { say } = this.#options;
    const matched = this.#rules
      .map((rule) => ({ rule, paths: paths.filter((path) => rule.matches(path)) }))
      .filter((item) => item.paths.length > 0);
    const rebuilt = new Set(matched.filter(({ rule }) => rule.action === 'rebuild').map(({ rule }) => rule.service));
    for (const service of rebuilt) {
      say(`Rebuilding service ${JSON.stringify(service.name)} after changes were detected...`);
      await this.#options.rebuild(service);
      say(`service ${JSON.stringify(service.name)} successfully built`);
    }
    const restarted = new Set<Service>();
    for (const { rule, paths: own } of matched) {
      // A new container has it all.
      if (rebuilt.has(rule.service)) continue;
      if (rule.syncs) await this.#sync(rule, own);
      if (rule.action === 'sync+exec')
        await all(await this.#containers(rule.service), (id) =>
          runHook(this.#client, id, rule.exec, `exec of ${rule.service.name} after a sync`),
        );
      if (rule.action.endsWith('restart')) restarted.add(rule.service);
    }
    for (const service of restarted) {
      await all(await this.#containers(service), (id) => this.#client.containers.restart(id));
      say(`service(s) [${JSON.stringify(service.name)}] restarted`);
    }
  }

  async #sync(rule: WatchRule, paths: readonly string[]): Promise<void> {
    if (paths.length === 0) return;
    this.#options.say(
      `Syncing service ${JSON.stringify(rule.service.name)} after ${paths.length} changes were detected`,
    );
    await all(await this.#containers(rule.service), (id) => syncPaths(this.#client, id, rule, paths));
  }

  async #containers(service: Service): Promise<string[]> {
    const found = await observeContainers(this.#client, this.#project.name);
    return found
      .filter((item) => item.service === service.name && !item.oneOff && item.summary.State === 'running')
      .map((item) => item.id);
  }
}

/** What a watch can do nothing with, said before it begins. */
export function unwatchable(service: Service): string | undefined {
  const rebuilds = watchRules([service]).some((rule) => rule.action === 'rebuild');
  return rebuilds && !service.builds
    ? `service ${service.name} (image ${asText(service.model['image']) ?? ''}) has a rebuild rule and no build section`
    : undefined;
}
