import { isAbsolute, resolve } from 'node:path';
import type { MountRequest } from '../../api/container.ts';
import { cutPair, parseCsv } from './csv.ts';
import { parseByteSize } from './size.ts';

/** `--mount type=bind,src=…,dst=…`. Throws an Error in docker's words. */
export function parseMount(text: string): MountRequest {
  const fields = parseCsv(text);
  const mount: MountRequest = { Type: 'volume', Target: '' };
  const used = new Set<string>();
  for (const field of fields) {
    const pair = cutPair(field);
    const key = (pair?.[0] ?? field).toLowerCase().trim();
    used.add(key);
    if (
      pair === undefined &&
      !['readonly', 'ro', 'volume-nocopy', 'bind-nonrecursive', 'bind-create-src'].includes(key)
    ) {
      throw new Error(`invalid field '${field}' must be a key=value pair`);
    }
    const value = pair?.[1] ?? 'true';
    applyField(mount, key, value, field);
  }
  if (mount.Target === '') throw new Error('target is required');
  const kind = mount.Type;
  const mixes: [string, string][] = [
    ['volume-', 'volume'],
    ['bind-', 'bind'],
    ['tmpfs-', 'tmpfs'],
    ['image-', 'image'],
  ];
  for (const [prefix, type] of mixes) {
    if ([...used].some((key) => key.startsWith(prefix)) && kind !== type) {
      throw new Error(`cannot mix '${prefix}*' options with mount type '${kind}'`);
    }
  }
  if (mount.BindOptions?.ReadOnlyForceRecursive === true) {
    if (mount.ReadOnly !== true)
      throw new Error("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
    if (mount.BindOptions.Propagation !== 'rprivate') {
      throw new Error(
        "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
      );
    }
  }
  return mount;
}

function applyField(mount: MountRequest, key: string, value: string, field: string): void {
  switch (key) {
    case 'type':
      mount.Type = value.toLowerCase() as MountRequest['Type'];
      return;
    case 'source':
    case 'src':
      // Dots are taken from where the command runs; other relative names are the volume's.
      mount.Source =
        value === '.' || value.startsWith('./') || value.startsWith('../') || value === '..' ? resolve(value) : value;
      return;
    case 'target':
    case 'dst':
    case 'destination':
      mount.Target = value;
      return;
    case 'readonly':
    case 'ro':
      mount.ReadOnly = parseSwitch(key, value);
      return;
    case 'consistency':
      mount.Consistency = value.toLowerCase();
      return;
    case 'bind-propagation':
      bind(mount).Propagation = value.toLowerCase();
      return;
    case 'bind-nonrecursive':
      bind(mount).NonRecursive = parseSwitch(key, value);
      return;
    case 'bind-create-src':
      bind(mount).CreateMountpoint = parseSwitch(key, value);
      return;
    case 'bind-recursive':
      switch (value) {
        case 'enabled':
          return;
        case 'disabled':
          bind(mount).NonRecursive = true;
          return;
        case 'writable':
          bind(mount).ReadOnlyNonRecursive = true;
          return;
        case 'readonly':
          bind(mount).ReadOnlyForceRecursive = true;
          return;
        default:
          throw new Error(
            `invalid value for ${key}: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
          );
      }
    case 'volume-subpath':
      volume(mount).Subpath = value;
      return;
    case 'volume-nocopy':
      volume(mount).NoCopy = parseSwitch(key, value);
      return;
    case 'volume-label': {
      const [name, text] = cutPair(value) ?? [value, ''];
      volume(mount).Labels = { ...mount.VolumeOptions?.Labels, [name]: text };
      return;
    }
    case 'volume-driver':
      volume(mount).DriverConfig = { ...mount.VolumeOptions?.DriverConfig, Name: value };
      return;
    case 'volume-opt': {
      const [name, text] = cutPair(value) ?? [value, ''];
      const config = mount.VolumeOptions?.DriverConfig;
      volume(mount).DriverConfig = { ...config, Options: { ...config?.Options, [name]: text } };
      return;
    }
    case 'image-subpath':
      mount.ImageOptions = { ...mount.ImageOptions, Subpath: value };
      return;
    case 'tmpfs-size':
      try {
        mount.TmpfsOptions = { ...mount.TmpfsOptions, SizeBytes: parseByteSize(value) };
      } catch {
        throw new Error(`invalid value for ${key}: ${value}`);
      }
      return;
    case 'tmpfs-mode':
      if (!/^[0-7]+$/.test(value)) throw new Error(`invalid value for ${key}: ${value}`);
      mount.TmpfsOptions = { ...mount.TmpfsOptions, Mode: Number.parseInt(value, 8) };
      return;
    default:
      throw new Error(`unexpected key '${key}' in '${field}'`);
  }
}

function bind(mount: MountRequest): NonNullable<MountRequest['BindOptions']> {
  return (mount.BindOptions ??= {});
}

function volume(mount: MountRequest): NonNullable<MountRequest['VolumeOptions']> {
  return (mount.VolumeOptions ??= {});
}

function parseSwitch(key: string, value: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw new Error(`invalid value for ${key}: ${value}`);
}

/** `-v`: a bind or a named volume (`bind`), or a path that gets a volume without a name. A host path that begins with a dot is made absolute. */
export function parseVolume(text: string): { bind: string } | { anonymous: string } {
  if (text === '') throw new Error('invalid empty volume spec');
  // A variable of the shell that is not set leaves a gap: `-v $DATA:/data`.
  if (text.includes(':') && text.split(':').includes(''))
    throw new Error(`invalid spec: ${text}: empty section between colons`);
  const colon = text.indexOf(':');
  if (colon < 0) return { anonymous: text };
  const host = text.slice(0, colon);
  return { bind: host.startsWith('.') && !isAbsolute(host) ? `${resolve(host)}${text.slice(colon)}` : text };
}
