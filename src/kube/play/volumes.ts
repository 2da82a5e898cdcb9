import type { MountRequest } from '../../api/container.ts';
import type { SecretReference } from '../../api/secret.ts';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { asDict, asList, asText, type Dict, textOf } from '../../compose/model/value.ts';
import { tarHeader } from '../../content/tar/header.ts';
import { writeTar } from '../../content/tar/writer.ts';
import { kubeName } from '../names.ts';
import { parseQuantity } from '../quantity.ts';
import { dataFrom } from './environment.ts';
import { KUBE_LABEL } from './labels.ts';
import type { PlayObjects, PodTemplate } from './objects.ts';

/** A volume of a pod, ready to be mounted. */
type Ready =
  | { readonly kind: 'volume'; readonly name: string; readonly readOnly: boolean }
  | { readonly kind: 'host'; readonly path: string; readonly make: boolean }
  | { readonly kind: 'image'; readonly reference: string }
  | {
      readonly kind: 'secret';
      readonly files: readonly { readonly path: string; readonly secret: string; readonly mode: number }[];
    };

export interface ContainerMounts {
  readonly binds: string[];
  readonly mounts: MountRequest[];
  readonly secrets: SecretReference[];
}

/** Makes the volumes of a pod on the engine: named volumes, configuration files, secrets. */
export class PodVolumes {
  readonly #client: Client;
  readonly #objects: PlayObjects;
  readonly #pod: PodTemplate;
  readonly #ready = new Map<string, Ready>();

  constructor(client: Client, objects: PlayObjects, pod: PodTemplate) {
    this.#client = client;
    this.#objects = objects;
    this.#pod = pod;
  }

  /** Throws `not-found`, `invalid-argument`, `unimplemented` for kinds of volumes that one machine has not. */
  async make(): Promise<void> {
    for (const volume of asList(this.#pod.spec['volumes']).map(asDict)) {
      const name = textOf(volume['name']);
      this.#ready.set(name, await this.#makeOne(name, volume));
    }
  }

  /** What a container mounts of them. */
  of(container: Dict): ContainerMounts {
    const binds: string[] = [];
    const mounts: MountRequest[] = [];
    const secrets: SecretReference[] = [];
    for (const mount of asList(container['volumeMounts']).map(asDict)) {
      const name = textOf(mount['name']);
      const volume = this.#ready.get(name);
      if (!volume)
        throw new EngineError('invalid-argument', `pod ${this.#pod.name}: there is no volume ${name} to mount`);
      if (mount['subPathExpr'] !== undefined)
        throw new EngineError('unimplemented', `pod ${this.#pod.name}: subPathExpr of ${name}: use subPath`);
      const target = textOf(mount['mountPath']).replace(/(.)\/+$/, '$1');
      const subPath = asText(mount['subPath']);
      const readOnly = mount['readOnly'] === true;
      if (subPath !== undefined && !isBelow(subPath))
        throw new EngineError(
          'invalid-argument',
          `pod ${this.#pod.name}: ${JSON.stringify(subPath)} is no subPath of ${name}`,
        );
      switch (volume.kind) {
        case 'secret':
          secrets.push(...secretFiles(volume.files, target, subPath));
          break;
        case 'host': {
          const propagation = { HostToContainer: 'rslave', Bidirectional: 'rshared' }[
            asText(mount['mountPropagation']) ?? ''
          ];
          if (volume.make && subPath === undefined)
            binds.push(
              [volume.path, target, [readOnly ? 'ro' : 'rw', ...(propagation ? [propagation] : [])].join(',')].join(
                ':',
              ),
            );
          else
            mounts.push({
              Type: 'bind',
              Source: volume.path,
              Target: target,
              ReadOnly: readOnly,
              BindOptions: {
                ...(propagation && { Propagation: propagation }),
                ...(volume.make && { CreateMountpoint: true }),
                // found by the engine: a container that has the whole may have put links there
                ...(subPath !== undefined && { Subpath: subPath }),
              },
            });
          break;
        }
        case 'image':
          mounts.push({
            Type: 'image',
            Source: volume.reference,
            Target: target,
            ...(subPath === undefined ? {} : { ImageOptions: { Subpath: subPath } }),
          });
          break;
        case 'volume':
          mounts.push({
            Type: 'volume',
            Source: volume.name,
            Target: target,
            ReadOnly: readOnly || volume.readOnly,
            // a pod's volume hides what the image has there
            VolumeOptions: { NoCopy: true, ...(subPath === undefined ? {} : { Subpath: subPath }) },
          });
      }
    }
    return { binds, mounts, secrets };
  }

  async #makeOne(name: string, volume: Dict): Promise<Ready> {
    if (volume['persistentVolumeClaim'] !== undefined) return this.#claim(asDict(volume['persistentVolumeClaim']));
    if (volume['emptyDir'] !== undefined) return this.#emptyDir(name, asDict(volume['emptyDir']));
    if (volume['hostPath'] !== undefined) {
      const path = textOf(asDict(volume['hostPath'])['path']);
      const type = asText(asDict(volume['hostPath'])['type']) ?? '';
      if (type === 'FileOrCreate')
        throw new EngineError('unimplemented', `volume ${name}: FileOrCreate: make the file, and use File`);
      return { kind: 'host', path, make: type === '' || type === 'DirectoryOrCreate' };
    }
    if (volume['configMap'] !== undefined) return this.#configMap(name, asDict(volume['configMap']));
    if (volume['secret'] !== undefined) return this.#secret(asDict(volume['secret']));
    if (volume['image'] !== undefined)
      return { kind: 'image', reference: textOf(asDict(volume['image'])['reference']) };
    const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'a volume of no kind';
    throw new EngineError(
      'unimplemented',
      `pod ${this.#pod.name}: volume ${name}: ${kind} is not there on one machine`,
    );
  }

  async #claim(reference: Dict): Promise<Ready> {
    const name = textOf(reference['claimName']);
    const claim = this.#objects.claims.get(name);
    await this.#client.volumes.create({
      Name: name,
      Labels: claim ? labels(asDict(asDict(claim['metadata'])['labels'])) : {},
    });
    return { kind: 'volume', name, readOnly: reference['readOnly'] === true };
  }

  async #emptyDir(volume: string, options: Dict): Promise<Ready> {
    const name = this.#volumeName(volume);
    const size = asText(options['sizeLimit']);
    const bytes = size === undefined ? 0 : Math.ceil(parseQuantity(size));
    const inMemory = options['medium'] === 'Memory';
    await this.#client.volumes.create({
      Name: name,
      Labels: this.#labels(),
      ...(inMemory && {
        DriverOpts: { type: 'tmpfs', device: 'tmpfs', ...(bytes > 0 && { o: `size=${bytes}` }) },
      }),
    });
    return { kind: 'volume', name, readOnly: false };
  }

  async #configMap(volume: string, reference: Dict): Promise<Ready> {
    const files = selected(dataFrom(this.#objects, 'ConfigMap', reference, this.#pod), reference, this.#pod);
    const name = this.#volumeName(volume);
    await this.#client.volumes.create({ Name: name, Labels: this.#labels() });
    const directories = new Set(files.flatMap(({ path }) => parents(path)));
    const entries = [
      ...[...directories].sort().map((path) => ({ header: tarHeader({ type: 'directory', name: `${path}/` }) })),
      ...files.map(({ path, content, mode }) => ({
        header: tarHeader({ type: 'file', name: path, size: content.length, mode }),
        body: [content],
      })),
    ];
    if (files.length > 0) await this.#client.volumes.import(name, writeTar(entries));
    return { kind: 'volume', name, readOnly: true };
  }

  async #secret(reference: Dict): Promise<Ready> {
    const name = textOf(reference['secretName']);
    if (this.#objects.secrets.has(name) || reference['optional'] === true) {
      const files = selected(dataFrom(this.#objects, 'Secret', reference, this.#pod), reference, this.#pod);
      const made = [];
      for (const { key, path, content, mode } of files) {
        if (content.length === 0)
          throw new EngineError('invalid-argument', `secret ${name}: the value of ${key} is empty`);
        const secret = secretName(this.#pod.name, name, key);
        await this.#client.secrets.ensure({
          Name: secret,
          Labels: { ...this.#labels(), [KUBE_LABEL.project]: this.#pod.name },
          Data: content.toString('base64'),
        });
        made.push({ path, secret, mode });
      }
      return { kind: 'secret', files: made };
    }
    // a secret that the engine has already: one file, of its name unless the items say otherwise
    const { Spec } = await this.#client.secrets.inspect(name).catch((error: unknown) => {
      if (errorCode(error) !== 'not-found') throw error;
      throw new EngineError(
        'not-found',
        `pod ${this.#pod.name}: there is no Secret ${name}: add it to the file, or make it with \`gantry secret create\``,
        { cause: error },
      );
    });
    const [item = {}] = asList(reference['items']).map(asDict);
    const mode = Number(item['mode'] ?? reference['defaultMode'] ?? 0o444);
    return { kind: 'secret', files: [{ path: asText(item['path']) ?? Spec.Name, secret: Spec.Name, mode }] };
  }

  #volumeName(volume: string): string {
    return `${this.#pod.name}-${volume}`;
  }

  #labels(): Record<string, string> {
    return { [KUBE_LABEL.pod]: this.#pod.name };
  }
}

interface DataFile {
  readonly key: string;
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
}

/** The files of a ConfigMap or Secret: all of its keys, or the items named. */
function selected(data: Map<string, Buffer> | undefined, reference: Dict, pod: PodTemplate): DataFile[] {
  const mode = Number(reference['defaultMode'] ?? 0o644);
  const items = asList(reference['items']).map(asDict);
  if (items.length === 0) {
    const wrong = [...(data?.keys() ?? [])].find((key) => !isBelow(key));
    if (wrong !== undefined)
      throw new EngineError('invalid-argument', `pod ${pod.name}: ${JSON.stringify(wrong)} is no name of a file`);
    return [...(data ?? [])].map(([key, content]) => ({ key, path: key, content, mode }));
  }
  return items.flatMap((item) => {
    const key = textOf(item['key']);
    const path = textOf(item['path']);
    if (!isBelow(path))
      throw new EngineError(
        'invalid-argument',
        `pod ${pod.name}: ${JSON.stringify(path)} is no path for the key ${key}`,
      );
    const content = data?.get(key);
    if (content) return [{ key, path, content, mode: Number(item['mode'] ?? mode) }];
    if (reference['optional'] === true) return [];
    throw new EngineError(
      'not-found',
      `pod ${pod.name}: ${textOf(reference['name'] ?? reference['secretName'])} has no key ${key}`,
    );
  });
}

/** A subPath is one of the files, at the mount's own place. */
function secretFiles(
  files: readonly { path: string; secret: string; mode: number }[],
  target: string,
  subPath: string | undefined,
): SecretReference[] {
  return files
    .filter(({ path }) => subPath === undefined || path === subPath)
    .map(({ path, secret, mode }) => ({
      SecretName: secret,
      File: { Name: subPath === undefined ? `${target}/${path}` : target, UID: '0', GID: '0', Mode: mode },
    }));
}

function isBelow(path: string): boolean {
  return path !== '' && !path.startsWith('/') && !path.split('/').includes('..');
}

function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

/** Of the engine's secret for one key of a pod's Secret. */
function secretName(pod: string, name: string, key: string): string {
  return kubeName('kube', pod, name, key);
}

function labels(given: Dict): Record<string, string> {
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key, textOf(value)]));
}
