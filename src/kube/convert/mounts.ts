import fs from 'node:fs';
import { basename, posix } from 'node:path';
import { asDict, asList, asText, asTexts, type Dict, dict, textOf, type Value } from '../../compose/model/value.ts';
import { parseSize } from '../../compose/model/units.ts';
import { contentOf } from '../../compose/project/secrets.ts';
import { resource, type Service } from '../../compose/project/project.ts';
import { dataKey, kubeName } from '../names.ts';
import { type ConvertContext, keep, object } from './context.ts';

/** ConfigMaps and Secrets hold 1 MiB. */
const MOST_BYTES = 1 << 20;

export interface PodMounts {
  readonly volumes: Dict[];
  readonly mounts: Dict[];
  /** Of a StatefulSet: a volume for each of its pods. */
  readonly claims: Dict[];
  /** Whether data must stay when a pod is made anew. */
  readonly keeps: boolean;
}

/** Everything that a service mounts: its volumes, tmpfs, shared memory, configs and secrets. */
export function podMounts(context: ConvertContext, service: Service): PodMounts {
  const { report } = context;
  const field = `services.${service.name}`;
  const volumes = new Map<string, Dict>();
  const mounts: Dict[] = [];
  const claims: Dict[] = [];
  let keeps = false;
  const add = (name: string, source: Dict, mount: readonly (readonly [string, Value | undefined])[]): void => {
    if (Object.keys(source).length > 0) volumes.set(name, dict([['name', name], ...Object.entries(source)]));
    mounts.push(dict([['name', name], ...mount]));
  };
  asList(service.model['volumes'])
    .map(asDict)
    .forEach((item, index) => {
      const at = `${field}.volumes[${index}]`;
      const target = textOf(item['target']);
      const source = asText(item['source']);
      const readOnly = item['read_only'] === true ? true : undefined;
      const mount: [string, Value | undefined][] = [
        ['mountPath', target],
        ['readOnly', readOnly],
        ['subPath', asText(asDict(item['volume'])['subpath'])],
      ];
      switch (item['type']) {
        case 'volume':
          keeps = true;
          if (source === undefined) {
            const name = kubeName('anonymous', String(index));
            claims.push(
              dict([
                ['metadata', dict([['name', name]])],
                ['spec', claimSpec(undefined)],
              ]),
            );
            return add(name, dict(), mount);
          }
          return add(
            kubeName(source),
            dict([['persistentVolumeClaim', dict([['claimName', claimOf(context, source, service, at)]])]]),
            mount,
          );
        case 'bind':
          return bind(context, service, item, at, add);
        case 'tmpfs':
          return add(kubeName('tmpfs', String(index)), memory(asText(asDict(item['tmpfs'])['size'])), [
            ['mountPath', target],
          ]);
        case 'image':
          return add(kubeName('image', String(index)), dict([['image', dict([['reference', source]])]]), [
            ['mountPath', target],
            ['subPath', asText(asDict(item['image'])['subpath'])],
          ]);
        default:
          report.add(at, `a mount of type ${textOf(item['type'])} has no counterpart`);
      }
    });
  asTexts(service.model['tmpfs']).forEach((item, index) => {
    const [path = '', options = ''] = item.split(/:(.*)/s);
    const size = /(?:^|,)size=([^,]+)/.exec(options)?.[1];
    add(kubeName('memory', String(index)), memory(size), [['mountPath', path]]);
    if (options.replace(/(?:^|,)size=[^,]+/, '') !== '')
      report.add(`${field}.tmpfs`, `options other than the size (${options}) have no counterpart`);
  });
  const shm = asText(service.model['shm_size']);
  if (shm !== undefined) add('shm', memory(shm), [['mountPath', '/dev/shm']]);
  for (const kind of ['configs', 'secrets'] as const) files(context, service, kind, add);
  return { volumes: [...volumes.values()], mounts, claims, keeps };
}

type Add = (name: string, source: Dict, mount: readonly (readonly [string, Value | undefined])[]) => void;

function memory(size: string | undefined): Dict {
  const bytes = size === undefined || size.endsWith('%') ? 0 : parseSize(size);
  return dict([
    [
      'emptyDir',
      dict([
        ['medium', 'Memory'],
        ['sizeLimit', bytes > 0 ? String(bytes) : undefined],
      ]),
    ],
  ]);
}

/** One file becomes a ConfigMap, a directory stays where it is: on whichever node the pod is. */
function bind(context: ConvertContext, service: Service, item: Dict, at: string, add: Add): void {
  const source = textOf(item['source']);
  const target = textOf(item['target']);
  const stat = fs.statSync(source, { throwIfNoEntry: false });
  if (stat?.isFile() && stat.size < MOST_BYTES && item['read_only'] === true) {
    const name = kubeName(service.name, basename(source));
    const key = dataKey(basename(source));
    keep(context, configMap(context, name, key, fs.readFileSync(source)));
    context.report.add(at, `the file ${source} was copied into the ConfigMap ${name}: changes of it are not seen`);
    return add(name, dict([['configMap', dict([['name', name]])]]), [
      ['mountPath', target],
      ['subPath', key],
      ['readOnly', true],
    ]);
  }
  context.report.add(
    at,
    `${source} is taken from the node that the pod runs on: it must be there, with the same files`,
  );
  const propagation = asText(asDict(item['bind'])['propagation']);
  const name = kubeName('host', source);
  add(
    name,
    dict([
      [
        'hostPath',
        dict([
          ['path', source],
          ['type', stat?.isFile() ? 'File' : 'DirectoryOrCreate'],
        ]),
      ],
    ]),
    [
      ['mountPath', target],
      ['readOnly', item['read_only'] === true ? true : undefined],
      [
        'mountPropagation',
        propagation?.endsWith('shared')
          ? 'Bidirectional'
          : propagation?.endsWith('slave')
            ? 'HostToContainer'
            : undefined,
      ],
    ],
  );
}

function claimOf(context: ConvertContext, key: string, service: Service, at: string): string {
  const { project, report } = context;
  const volume = resource(project, 'volumes', key);
  const name = kubeName(asText(volume['name']) ?? key);
  if (volume['external'] === true) {
    report.add(`volumes.${key}`, `external: the claim ${name} must be there`);
    return name;
  }
  for (const option of ['driver', 'driver_opts'])
    if (volume[option] !== undefined && !(option === 'driver' && volume[option] === 'local'))
      report.add(`volumes.${key}.${option}`, 'has no counterpart: choose a storage class instead');
  const users = [...project.services.values()].filter((other) =>
    asList(other.model['volumes']).some((item) => asDict(item)['type'] === 'volume' && asDict(item)['source'] === key),
  );
  const shared = users.length > 1 || users.some((user) => user.replicas > 1);
  if (shared)
    report.add(at, `the volume ${key} is mounted by several pods: its storage class must offer ReadWriteMany`);
  if (service.replicas > 1) report.add(at, `all ${service.replicas} pods share the volume ${key}, as on one machine`);
  keep(
    context,
    object(
      'v1',
      'PersistentVolumeClaim',
      name,
      project,
      dict([['spec', claimSpec(shared ? 'ReadWriteMany' : undefined)]]),
    ),
  );
  report.add(`volumes.${key}`, 'its size is not in the file: the claim asks for 1Gi');
  return name;
}

function claimSpec(mode: string | undefined): Dict {
  return dict([
    ['accessModes', [mode ?? 'ReadWriteOnce']],
    ['resources', dict([['requests', dict([['storage', '1Gi']])]])],
  ]);
}

/** Each config and secret is one file: subPath leaves what else is in its directory. */
function files(context: ConvertContext, service: Service, kind: 'configs' | 'secrets', add: Add): void {
  const { project, report } = context;
  asList(service.model[kind])
    .map(asDict)
    .forEach((use, index) => {
      const key = textOf(use['source']);
      const source = resource(project, kind, key);
      const at = `services.${service.name}.${kind}[${index}]`;
      const given = asText(use['target']) ?? (kind === 'secrets' ? key : `/${key}`);
      const target = posix.resolve(kind === 'secrets' ? '/run/secrets' : '/', given);
      const name = kubeName(asText(source['name']) ?? key);
      const file = dataKey(key);
      if (source['external'] === true)
        report.add(
          `${kind}.${key}`,
          `external: ${kind === 'secrets' ? 'Secret' : 'ConfigMap'} ${name} must be there, with the key ${file}`,
        );
      else {
        const content = Buffer.from(contentOf(project, kind, key, source));
        if (content.length > MOST_BYTES) report.add(`${kind}.${key}`, 'has more than the 1 MiB that Kubernetes takes');
        keep(
          context,
          kind === 'configs' ? configMap(context, name, file, content) : secret(context, name, file, content),
        );
        if (kind === 'secrets')
          report.add(
            `${kind}.${key}`,
            `its value is in the manifest of Secret ${name}: keep that file as you keep the value`,
          );
      }
      const uid = asText(use['uid']);
      const gid = asText(use['gid']);
      if ((uid !== undefined && uid !== '0') || (gid !== undefined && gid !== '0'))
        report.add(at, `uid and gid have no counterpart: the file is root's, readable for the pod's fsGroup`);
      const mode = asText(use['mode']);
      const item = dict([
        ['key', file],
        ['path', file],
        ['mode', mode === undefined ? undefined : Number.parseInt(mode, 8)],
      ]);
      const volume = kubeName(kind.slice(0, -1), key, String(index));
      add(
        volume,
        kind === 'configs'
          ? dict([
              [
                'configMap',
                dict([
                  ['name', name],
                  ['items', [item]],
                ]),
              ],
            ])
          : dict([
              [
                'secret',
                dict([
                  ['secretName', name],
                  ['items', [item]],
                ]),
              ],
            ]),
        [
          ['mountPath', target],
          ['subPath', file],
          ['readOnly', true],
        ],
      );
    });
}

function configMap({ project }: ConvertContext, name: string, key: string, content: Buffer): Dict {
  const text = content.toString('utf8');
  const isText = Buffer.from(text).equals(content);
  return object(
    'v1',
    'ConfigMap',
    name,
    project,
    dict([isText ? ['data', dict([[key, text]])] : ['binaryData', dict([[key, content.toString('base64')]])]]),
  );
}

function secret({ project }: ConvertContext, name: string, key: string, content: Buffer): Dict {
  return object(
    'v1',
    'Secret',
    name,
    project,
    dict([
      ['type', 'Opaque'],
      ['data', dict([[key, content.toString('base64')]])],
    ]),
  );
}
