import type { Service } from './project.ts';

/**
 * Runs `work` for every service after it ran for those it depends on (`reverse`: for those that depend on it). The
 * first failure is thrown once all that was begun has ended; what comes after a failure is not begun.
 */
export async function inDependencyOrder(
  services: ReadonlyMap<string, Service>,
  work: (service: Service) => Promise<void>,
  options: { readonly reverse?: boolean; readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const before = new Map<string, Set<string>>([...services.keys()].map((name) => [name, new Set()]));
  for (const service of services.values())
    for (const name of service.dependencies.keys()) {
      if (!services.has(name)) continue;
      if (options.reverse === true) before.get(name)!.add(service.name);
      else before.get(service.name)!.add(name);
    }
  const tasks = new Map<string, Promise<void>>();
  let failed = false;
  const run = (name: string): Promise<void> => {
    let task = tasks.get(name);
    if (!task) {
      task = (async () => {
        await Promise.all([...before.get(name)!].map(run));
        options.signal?.throwIfAborted();
        if (!failed) await work(services.get(name)!);
      })().catch((error: unknown) => {
        failed = true;
        throw error;
      });
      tasks.set(name, task);
    }
    return task;
  };
  throwFirst(await Promise.allSettled([...services.keys()].map(run)));
}

export async function all<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  throwFirst(await Promise.allSettled(items.map(work)));
}

function throwFirst(results: readonly PromiseSettledResult<unknown>[]): void {
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}
