import { EngineError } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import type { OnProgress } from './progress.ts';
import type { Dependency } from './project.ts';

/** `none` when the container has no health check. */
export async function healthOf(client: Client, id: string): Promise<string> {
  return (await client.containers.inspect(id)).State.Health?.Status ?? 'none';
}

/** Until a container is as a dependency wants it. Woken by the engine's events; throws when it never will be. */
export async function waitFor(
  client: Client,
  id: string,
  condition: Dependency['condition'],
  onProgress: OnProgress,
  signal?: AbortSignal,
): Promise<void> {
  const name = (await client.containers.inspect(id)).Name.slice(1);
  onProgress({ kind: 'Container', name, status: 'Waiting' });
  if (condition === 'service_completed_successfully') {
    const { outcome } = await client.containers.wait(id, 'not-running', signal);
    const { StatusCode: code } = await outcome;
    if (code !== 0) throw failed(onProgress, name, `service "${name}" didn't complete successfully: exit ${code}`);
    onProgress({ kind: 'Container', name, status: 'Exited' });
    return;
  }
  const stop = new AbortController();
  const abort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    // Subscribed before the first look, so that no change falls between the two.
    const events = client.system.events({
      filters: new Map([
        ['type', ['container']],
        ['container', [id]],
      ]),
      signal: stop.signal,
    });
    let next = events.next();
    next.catch(() => {}); // looked at when it is waited for
    for (;;) {
      const { State: state } = await client.containers.inspect(id);
      const health = state.Health?.Status ?? 'none';
      if (!state.Running && state.Status !== 'created')
        throw failed(onProgress, name, `container ${name} exited (${state.ExitCode})`);
      if (health === 'unhealthy') throw failed(onProgress, name, `container ${name} is unhealthy`);
      if (condition === 'service_healthy' && health === 'none')
        throw failed(onProgress, name, `container ${name} has no healthcheck configured`);
      if (state.Running && (condition === 'service_started' || health === 'healthy')) break;
      if ((await next).done === true) throw new EngineError('unavailable', 'the stream of events has ended');
      next = events.next();
      next.catch(() => {});
    }
    onProgress({ kind: 'Container', name, status: condition === 'service_healthy' ? 'Healthy' : 'Started' });
  } finally {
    signal?.removeEventListener('abort', abort);
    stop.abort();
  }
}

function failed(onProgress: OnProgress, name: string, message: string): EngineError {
  onProgress({ kind: 'Container', name, status: 'Error' });
  return new EngineError('conflict', `dependency failed to start: ${message}`);
}
