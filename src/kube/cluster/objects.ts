import type { KubernetesObject } from '@kubernetes/client-node';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError, errorCode } from '../../base/errors.ts';
import { asDict, asList, asText, type Dict, dict, textOf } from '../../compose/model/value.ts';
import { nameOf } from '../manifests.ts';
import { type Cluster, clusterError } from './cluster.ts';

/** Who the server is told that the fields are from. */
const MANAGER = 'gantry';

export type Outcome = 'created' | 'configured' | 'unchanged' | 'deleted' | 'absent' | 'kept';

export function label(object: Dict): string {
  return `${textOf(object['kind']).toLowerCase()}/${nameOf(object)}`;
}

/** The objects of manifests in a cluster. */
export class ClusterObjects {
  readonly #cluster: Cluster;
  readonly #api: Promise<RawObjects>;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#api = rawObjects(cluster);
  }

  /**
   * Server-side apply: fields of others stay theirs. The body goes out as it is written, and the server refuses fields it does
   * not know. Throws `conflict` where another owns a field, unless forced.
   */
  async apply(object: Dict, options: { readonly force: boolean; readonly dryRun: boolean }): Promise<Outcome> {
    const placed = this.#placed(object);
    const before = await this.read(object);
    const after = asDict((await this.#do(object, (api) => api.apply(placed, options))) as Dict);
    if (!before) return 'created';
    const version = (one: Dict): string | undefined => asText(asDict(one['metadata'])['resourceVersion']);
    return version(before) === version(after) ? 'unchanged' : 'configured';
  }

  /** Undefined when it is not there. */
  async read(object: Dict): Promise<Dict | undefined> {
    try {
      return asDict((await this.#do(object, (api) => api.readRaw(this.#placed(object)))) as Dict);
    } catch (error) {
      if (errorCode(error) !== 'not-found') throw error;
      return undefined;
    }
  }

  /** What depends on it goes with it. */
  async delete(object: Dict): Promise<Outcome> {
    try {
      await this.#do(object, (api) =>
        api.delete(
          this.#placed(object) as unknown as KubernetesObject,
          undefined,
          undefined,
          undefined,
          undefined,
          'Background',
        ),
      );
      return 'deleted';
    } catch (error) {
      if (errorCode(error) !== 'not-found') throw error;
      return 'absent';
    }
  }

  /** Until a workload's pods are ready, a job is complete. Throws `timeout`, `conflict` for a job that failed. */
  async ready(object: Dict, timeoutMs: number, pollMs = 500): Promise<void> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const now = await this.read(object);
      if (now && isReady(now)) return;
      if (performance.now() > until)
        throw new EngineError('timeout', `${label(object)} is not ready after ${timeoutMs / 1000} s`);
      await sleep(pollMs);
    }
  }

  #placed(object: Dict): Dict {
    const metadata = asDict(object['metadata']);
    return dict([
      ...Object.entries(object),
      [
        'metadata',
        dict([...Object.entries(metadata), ['namespace', metadata['namespace'] ?? this.#cluster.namespace]]),
      ],
    ]);
  }

  async #do<T>(object: Dict, work: (api: RawObjects) => Promise<T>): Promise<T> {
    try {
      return await work(await this.#api);
    } catch (error) {
      throw clusterError(label(object), error);
    }
  }
}

function isReady(object: Dict): boolean {
  const spec = asDict(object['spec']);
  const status = asDict(object['status']);
  const wanted = Number(spec['replicas'] ?? 1);
  const observed = Number(status['observedGeneration'] ?? 0) >= Number(asDict(object['metadata'])['generation'] ?? 0);
  const count = (key: string): number => Number(status[key] ?? 0);
  switch (object['kind']) {
    case 'Deployment':
      return observed && count('updatedReplicas') >= wanted && count('availableReplicas') >= wanted;
    case 'StatefulSet':
      return observed && count('readyReplicas') >= wanted && count('updatedReplicas') >= wanted;
    case 'DaemonSet':
      return observed && count('numberReady') >= count('desiredNumberScheduled');
    case 'Job':
      if (condition(status, 'Failed')) throw new EngineError('conflict', `${label(object)} failed`);
      return condition(status, 'Complete');
    case 'Pod':
      return condition(status, 'Ready') || status['phase'] === 'Succeeded';
    default:
      return true;
  }
}

function condition(status: Dict, type: string): boolean {
  return asList(status['conditions'])
    .map(asDict)
    .some((one) => one['type'] === type && one['status'] === 'True');
}

type RawObjects = Awaited<ReturnType<typeof rawObjects>>;

/** The client's generic API with bodies as they are: its own way through its models drops fields that it does not know. */
async function rawObjects({ kubernetes, config }: Cluster) {
  const { KubernetesObjectApi, HttpMethod } = kubernetes;
  class Objects extends KubernetesObjectApi {
    async apply(object: Dict, options: { readonly force: boolean; readonly dryRun: boolean }): Promise<unknown> {
      const path = await this.specUriPath(object as unknown as KubernetesObject, 'patch');
      const request = this.configuration.baseServer.makeRequestContext(path, HttpMethod.PATCH);
      request.setHeaderParam('Accept', 'application/json');
      request.setHeaderParam('Content-Type', 'application/apply-patch+yaml');
      request.setQueryParam('fieldManager', MANAGER);
      request.setQueryParam('fieldValidation', 'Strict');
      request.setQueryParam('force', String(options.force));
      if (options.dryRun) request.setQueryParam('dryRun', 'All');
      request.setBody(JSON.stringify(object));
      return this.requestPromise(request);
    }

    async readRaw(object: Dict): Promise<unknown> {
      const path = await this.specUriPath(object as unknown as KubernetesObject, 'read');
      const request = this.configuration.baseServer.makeRequestContext(path, HttpMethod.GET);
      request.setHeaderParam('Accept', 'application/json');
      return this.requestPromise(request);
    }
  }
  return config.makeApiClient(Objects);
}
