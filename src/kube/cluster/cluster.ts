import type * as KubernetesClient from '@kubernetes/client-node';
import fs from 'node:fs';
import { join } from 'node:path';
import { type ErrorCode, EngineError, errorMessage } from '../../base/errors.ts';

/** The official client: large, so it is loaded only by those who have a cluster. */
type Kubernetes = typeof KubernetesClient;

export interface ClusterOptions {
  /** Instead of what KUBECONFIG names, and `~/.kube/config`. */
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** Instead of the context's, else `default`. */
  readonly namespace?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Cluster {
  readonly kubernetes: Kubernetes;
  readonly config: InstanceType<Kubernetes['KubeConfig']>;
  readonly namespace: string;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** The cluster that is configured. Throws `unavailable` when there is none, `not-found` for a context that is not there. */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const files = configFiles(options);
  if (files.length === 0 && !fs.existsSync(SERVICE_ACCOUNT)) {
    throw new EngineError(
      'unavailable',
      'no cluster is configured: give --kubeconfig, set KUBECONFIG, or make ~/.kube/config (gantry kube play runs pods without a cluster)',
    );
  }
  const kubernetes = await import('@kubernetes/client-node');
  const config = new kubernetes.KubeConfig();
  try {
    if (files.length === 0) config.loadFromCluster();
    files.forEach((file, index) => {
      if (index === 0) return config.loadFromFile(file);
      const next = new kubernetes.KubeConfig();
      next.loadFromFile(file);
      config.mergeConfig(next);
    });
  } catch (error) {
    throw new EngineError('invalid-argument', `the kubeconfig cannot be read: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  if (options.context !== undefined) {
    const known = config.getContexts().map(({ name }) => name);
    if (!known.includes(options.context))
      throw new EngineError('not-found', `there is no context ${options.context}: known are ${known.join(', ')}`);
    config.setCurrentContext(options.context);
  }
  if (!config.getCurrentCluster())
    throw new EngineError('unavailable', 'the kubeconfig has no current context: name one with --context');
  const namespace = options.namespace ?? config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
  return { kubernetes, config, namespace };
}

function configFiles({ kubeconfig, env }: ClusterOptions): string[] {
  if (kubeconfig !== undefined) return [kubeconfig];
  const named = (env['KUBECONFIG'] ?? '').split(':').filter((file) => file !== '');
  if (named.length > 0) return named;
  const own = join(env['HOME'] ?? '/nowhere', '.kube/config');
  return fs.existsSync(own) ? [own] : [];
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid-argument',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  409: 'conflict',
  422: 'invalid-argument',
};

/** What the API server, or the way to it, said. */
export function clusterError(what: string, error: unknown): EngineError {
  if (error instanceof EngineError) return error;
  const { code, body } = error as { code?: unknown; body?: unknown };
  if (typeof code === 'number')
    return new EngineError(CODES[code] ?? 'unavailable', `${what}: ${statusMessage(body, code)}`, { cause: error });
  const cause = (error as { cause?: unknown }).cause ?? error;
  return new EngineError('unavailable', `${what}: the cluster cannot be reached: ${errorMessage(cause)}`, {
    cause: error,
  });
}

function statusMessage(body: unknown, code: number): string {
  let status: unknown = body;
  if (typeof body === 'string') {
    try {
      status = JSON.parse(body);
    } catch {
      return body.slice(0, 500) || `HTTP ${code}`;
    }
  }
  return (status as { message?: string } | null)?.message ?? `HTTP ${code}`;
}
