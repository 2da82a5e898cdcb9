import { EngineError } from '../../base/errors.ts';
import { asDict, asList, asText, type Dict, dict, textOf } from '../../compose/model/value.ts';
import { nameOf } from '../manifests.ts';

/** A pod to be played, whatever kind of object it came from. */
export interface PodTemplate {
  readonly name: string;
  readonly labels: Dict;
  readonly annotations: Dict;
  readonly spec: Dict;
}

/** The manifests of a file, sorted by what becomes of them on one machine. */
export interface PlayObjects {
  readonly pods: readonly PodTemplate[];
  readonly configMaps: ReadonlyMap<string, Dict>;
  readonly secrets: ReadonlyMap<string, Dict>;
  readonly claims: ReadonlyMap<string, Dict>;
  readonly services: readonly Dict[];
}

/** Throws `invalid-argument` for what cannot be on one machine; warns of what has no meaning there. */
export function playObjects(manifests: readonly Dict[], warn: (message: string) => void): PlayObjects {
  const pods: PodTemplate[] = [];
  const configMaps = new Map<string, Dict>();
  const secrets = new Map<string, Dict>();
  const claims = new Map<string, Dict>();
  const services: Dict[] = [];
  for (const object of manifests) {
    const kind = textOf(object['kind']);
    const name = nameOf(object);
    const spec = asDict(object['spec']);
    switch (kind) {
      case 'Pod':
        pods.push(podOf(name, asDict(object['metadata']), spec));
        break;
      case 'Deployment':
      case 'StatefulSet':
      case 'ReplicaSet':
      case 'DaemonSet':
      case 'Job':
        if (Number(spec['replicas'] ?? 1) === 0) break;
        if (Number(spec['replicas'] ?? spec['parallelism'] ?? 1) > 1)
          throw new EngineError(
            'invalid-argument',
            `${kind} ${name}: ${textOf(spec['replicas'] ?? spec['parallelism'])} replicas on one machine would be one: set it to 1`,
          );
        pods.push(workload(name, kind, spec, claims));
        break;
      case 'ConfigMap':
        configMaps.set(name, object);
        break;
      case 'Secret':
        secrets.set(name, object);
        break;
      case 'PersistentVolumeClaim':
        claims.set(name, object);
        break;
      case 'Service':
        services.push(object);
        break;
      default:
        warn(`${kind} ${name} has no meaning on one machine: it is passed over`);
    }
  }
  const names = pods.map((pod) => pod.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new EngineError('invalid-argument', `two pods are named ${twice}`);
  return { pods, configMaps, secrets, claims, services };
}

function workload(name: string, kind: string, spec: Dict, claims: Map<string, Dict>): PodTemplate {
  const template = asDict(spec['template']);
  const pod = podOf(
    kind === 'Deployment' || kind === 'Job' ? `${name}-pod` : `${name}-0`,
    asDict(template['metadata']),
    asDict(template['spec']),
  );
  const volumes = asList(spec['volumeClaimTemplates'])
    .map(asDict)
    .map((claim) => {
      const claimName = `${nameOf(claim)}-${pod.name}`;
      claims.set(claimName, claim);
      return dict([
        ['name', nameOf(claim)],
        ['persistentVolumeClaim', dict([['claimName', claimName]])],
      ]);
    });
  if (volumes.length === 0) return pod;
  return {
    ...pod,
    spec: dict([...Object.entries(pod.spec), ['volumes', [...asList(pod.spec['volumes']), ...volumes]]]),
  };
}

function podOf(name: string, metadata: Dict, spec: Dict): PodTemplate {
  if (asList(spec['containers']).length === 0)
    throw new EngineError('invalid-argument', `pod ${name} has no containers`);
  return { name, labels: asDict(metadata['labels']), annotations: asDict(metadata['annotations']), spec };
}

/** The keys and values of a ConfigMap or Secret. */
export function dataOf(object: Dict): Map<string, Buffer> {
  const isSecret = object['kind'] === 'Secret';
  const decode = (text: string): Buffer => Buffer.from(text, 'base64');
  return new Map([
    ...Object.entries(asDict(object[isSecret ? 'data' : 'binaryData'])).map(
      ([key, value]) => [key, decode(textOf(value))] as const,
    ),
    ...Object.entries(asDict(object[isSecret ? 'stringData' : 'data'])).map(
      ([key, value]) => [key, Buffer.from(textOf(value))] as const,
    ),
  ]);
}

/** Whether a Service leads to the pod. */
export function selects(service: Dict, pod: PodTemplate): boolean {
  const selector = Object.entries(asDict(asDict(service['spec'])['selector']));
  return selector.length > 0 && selector.every(([key, value]) => asText(pod.labels[key]) === asText(value));
}
