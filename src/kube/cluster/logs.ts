import { Writable } from 'node:stream';
import { asDict, asList, asText, type Dict, textOf } from '../../compose/model/value.ts';
import { nameOf } from '../manifests.ts';
import { type Cluster, clusterError } from './cluster.ts';

export interface ClusterLogOptions {
  readonly follow: boolean;
  readonly tail?: number | undefined;
  readonly timestamps: boolean;
  readonly sinceSeconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PodContainer {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

/** The containers of the pods that belong to workloads of manifests. */
export async function podContainersOf(cluster: Cluster, objects: readonly Dict[]): Promise<PodContainer[]> {
  const api = cluster.config.makeApiClient(cluster.kubernetes.CoreV1Api);
  const found: PodContainer[] = [];
  for (const object of objects) {
    const namespace = asText(asDict(object['metadata'])['namespace']) ?? cluster.namespace;
    const kind = textOf(object['kind']);
    try {
      if (kind === 'Pod') {
        found.push(...containersOf(await api.readNamespacedPod({ name: nameOf(object), namespace })));
        continue;
      }
      const selector = kind === 'Job' ? `job-name=${nameOf(object)}` : labelSelector(object);
      if (selector === '') continue;
      const { items } = await api.listNamespacedPod({ namespace, labelSelector: selector });
      found.push(...items.flatMap(containersOf));
    } catch (error) {
      throw clusterError(`${kind.toLowerCase()}/${nameOf(object)}`, error);
    }
  }
  return [...new Map(found.map((one) => [`${one.namespace}/${one.pod}/${one.container}`, one])).values()];
}

function labelSelector(object: Dict): string {
  if (!['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet'].includes(textOf(object['kind']))) return '';
  const selector = asDict(asDict(object['spec'])['selector']);
  return [
    ...Object.entries(asDict(selector['matchLabels'])).map(([key, value]) => `${key}=${textOf(value)}`),
    ...asList(selector['matchExpressions'])
      .map(asDict)
      .map(({ key, operator, values }) =>
        operator === 'Exists'
          ? textOf(key)
          : operator === 'DoesNotExist'
            ? `!${textOf(key)}`
            : `${textOf(key)} ${operator === 'NotIn' ? 'notin' : 'in'} (${asList(values).map(textOf).join(',')})`,
      ),
  ].join(',');
}

function containersOf(pod: {
  metadata?: { name?: string; namespace?: string };
  spec?: { containers: readonly { name: string }[] };
}): PodContainer[] {
  return (pod.spec?.containers ?? []).map(({ name }) => ({
    namespace: pod.metadata?.namespace ?? 'default',
    pod: pod.metadata?.name ?? '',
    container: name,
  }));
}

/** Gives each line of a container's output to `line`, until it ends, or to what is there without `follow`. */
export async function readPodLog(
  cluster: Cluster,
  { namespace, pod, container }: PodContainer,
  options: ClusterLogOptions,
  line: (text: string) => void,
): Promise<void> {
  let rest = '';
  const decoder = new TextDecoder();
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop()!;
      lines.forEach(line);
      done();
    },
    final(done) {
      if (rest !== '') line(rest);
      done();
    },
  });
  const ended = new Promise<void>((resolve, reject) => {
    output.once('finish', resolve);
    output.once('close', resolve);
    output.once('error', reject);
  });
  try {
    const aborted = await new cluster.kubernetes.Log(cluster.config).log(namespace, pod, container, output, {
      follow: options.follow,
      timestamps: options.timestamps,
      ...(options.tail !== undefined && { tailLines: options.tail }),
      ...(options.sinceSeconds !== undefined && { sinceSeconds: options.sinceSeconds }),
    });
    options.signal?.addEventListener('abort', () => aborted.abort(), { once: true });
    await ended;
  } catch (error) {
    if (options.signal?.aborted) return;
    throw clusterError(`pod/${pod}`, error);
  }
}
