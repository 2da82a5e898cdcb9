import { posix } from 'node:path';
import type { MountRequest } from '../api/container.ts';
import type { MountPoint } from '../api/volume.ts';
import { destinationOf } from './mount-request.ts';

export interface MountPointOptions {
  /** As written in `-v`; undefined for `--mount`. */
  readonly mode?: string | undefined;
  /** Of the volume, with its directory. */
  readonly volume?: { readonly name: string; readonly path: string };
  /** Of an image, where it will be mounted. */
  readonly image?: { readonly path: string };
  /** The engine's own directory: a bind that contains it must not keep its mounts alive. */
  readonly dataRoot: string;
}

/** How inspect shows the mount. */
export function mountPoint(request: MountRequest, options: MountPointOptions): MountPoint {
  const Destination = destinationOf(request.Target);
  const RW = request.ReadOnly !== true;
  if (request.Type === 'tmpfs') {
    return { Type: 'tmpfs', Source: '', Destination, Mode: '', RW, Propagation: '' };
  }
  if (request.Type === 'volume') {
    const { name, path } = options.volume!;
    const Mode = options.mode || 'z';
    return { Type: 'volume', Name: name, Source: path, Destination, Driver: 'local', Mode, RW, Propagation: '' };
  }
  if (request.Type === 'image') {
    const { path } = options.image!;
    const Name = request.Source ?? '';
    return { Type: 'image', Name, Source: path, Destination, Mode: '', RW: false, Propagation: 'rprivate' };
  }
  const Source = posix.resolve('/', request.Source ?? '');
  const Propagation = request.BindOptions?.Propagation || defaultPropagation(Source, options.dataRoot);
  return { Type: request.Type, Source, Destination, Mode: options.mode ?? '', RW, Propagation };
}

/** Docker's rule: `rprivate`, but a bind of a directory above the engine's own follows its unmounts. */
function defaultPropagation(source: string, dataRoot: string): string {
  const above = source === '/' || dataRoot === source || dataRoot.startsWith(`${source}/`);
  return above ? 'rslave' : 'rprivate';
}
