import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DeviceMapping } from '../../api/container.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { StepDeviceRequest } from '../../build/dockerfile/instructions.ts';
import type { UserMount } from '../../runtime/spec/mounts.ts';
import type { ScaffoldEntry } from '../../snapshot/scaffold.ts';

/** Devices of the host that whoever makes them has described (Container Device Interface 0.8), for RUN --device. */

/** What a step gets with its devices. */
export interface StepDevices {
  /** `vendor.com/class=name` */
  readonly names: readonly string[];
  readonly env: readonly string[];
  readonly nodes: readonly DeviceMapping[];
  readonly mounts: readonly UserMount[];
  readonly groups: readonly string[];
  /** Of the mounts: the step has them, and its layer has not. */
  readonly points: readonly ScaffoldEntry[];
}

interface Edits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly { path: string; hostPath?: string; permissions?: string }[];
  readonly mounts?: readonly { hostPath: string; containerPath: string; options?: readonly string[] }[];
  readonly hooks?: readonly unknown[];
  readonly additionalGids?: readonly number[];
}

interface Device {
  readonly name: string;
  readonly allowed: boolean;
  readonly class: string | undefined;
  readonly edits: readonly Edits[];
}

const CLASS = 'org.mobyproject.buildkit.device.class';
const AUTO_ALLOW = 'org.mobyproject.buildkit.device.autoallow';
const NONE: StepDevices = { names: [], env: [], nodes: [], mounts: [], groups: [], points: [] };

/**
 * Finds the devices that a step asks for among the specifications in `directories`, later ones over earlier ones. Throws
 * `not-found` for one that is required and not there, `forbidden` where the build may have none, `unimplemented` for hooks.
 */
export async function findDevices(
  directories: readonly string[],
  requests: readonly StepDeviceRequest[],
  allow: readonly string[],
): Promise<StepDevices> {
  if (requests.length === 0) return NONE;
  const known = await readDevices(directories);
  const chosen = new Map<string, Device>();
  for (const { name, required } of requests) {
    const found = matching(known, name);
    if (found.length === 0 && required)
      throw new EngineError(
        'not-found',
        `required device ${name} not found: no specification in ${directories.join(', ')} has it`,
      );
    for (const device of found) {
      const granted = allow.some((one) => one === 'device' || one === `device=${device.name}`);
      if (!device.allowed && !granted)
        throw new EngineError(
          'forbidden',
          `RUN --device=${name} is not allowed: build with --allow device, or --allow device=${device.name}`,
        );
      chosen.set(device.name, device);
    }
  }
  const devices = [...chosen.values()];
  const edits = devices.flatMap((device) => device.edits);
  if (edits.some(({ hooks }) => (hooks?.length ?? 0) > 0))
    throw new EngineError(
      'unimplemented',
      `the specification of ${devices.map(({ name }) => name).join(', ')} has hooks, which this engine does not run`,
    );
  const mounts = edits.flatMap((edit) => (edit.mounts ?? []).map(mountOf));
  return {
    names: devices.map(({ name }) => name).sort(),
    env: edits.flatMap(({ env = [] }) => env),
    nodes: edits.flatMap(({ deviceNodes = [] }) =>
      deviceNodes.map(({ path, hostPath, permissions }) => ({
        PathOnHost: hostPath ?? path,
        PathInContainer: path,
        CgroupPermissions: permissions ?? 'rwm',
      })),
    ),
    mounts,
    points: mounts.map(pointOf),
    groups: edits.flatMap(({ additionalGids = [] }) => additionalGids.map(String)),
  };
}

/** `vendor/class` is the first of it, `vendor/class=*` all, `vendor/class=name` one; a word alone is a class of an annotation. */
function matching(known: ReadonlyMap<string, Device>, name: string): Device[] {
  const all = [...known.values()];
  if (!name.includes('/')) return all.filter((device) => device.class === name);
  const [kind, one] = name.split('=', 2);
  const ofKind = all.filter((device) => device.name.startsWith(`${kind}=`));
  if (one === undefined) return ofKind.slice(0, 1);
  return one === '*' ? ofKind : ofKind.filter((device) => device.name === name);
}

async function readDevices(directories: readonly string[]): Promise<Map<string, Device>> {
  const found = new Map<string, Device>();
  for (const directory of directories) {
    let names: string[];
    try {
      names = readdirSync(directory).sort();
    } catch {
      continue; // Most hosts have none.
    }
    for (const file of names.filter((name) => /\.(json|ya?ml)$/.test(name)))
      for (const device of await devicesOf(join(directory, file))) found.set(device.name, device);
  }
  return found;
}

interface Specification {
  readonly kind?: unknown;
  readonly annotations?: Readonly<Record<string, unknown>>;
  readonly containerEdits?: Edits;
  readonly devices?: readonly {
    readonly name: unknown;
    readonly annotations?: Readonly<Record<string, unknown>>;
    readonly containerEdits?: Edits;
  }[];
}

async function devicesOf(path: string): Promise<Device[]> {
  let document: Specification;
  try {
    document = await parseText(readFileSync(path, 'utf8'), path);
  } catch (error) {
    throw new EngineError(
      'invalid-argument',
      `the device specification ${path} cannot be read: ${errorMessage(error)}`,
      {
        cause: error,
      },
    );
  }
  const { kind, annotations = {}, containerEdits, devices } = document ?? {};
  if (typeof kind !== 'string' || !/^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w-]*$/.test(kind) || !Array.isArray(devices))
    throw new EngineError('invalid-argument', `the device specification ${path} has no kind or no devices`);
  return devices.map((device: NonNullable<Specification['devices']>[number]) => {
    const own = { ...annotations, ...device.annotations };
    const label = own[CLASS];
    return {
      name: `${kind}=${String(device.name)}`,
      allowed: String(own[AUTO_ALLOW]) === 'true',
      class: typeof label === 'string' ? label : undefined,
      edits: [containerEdits ?? {}, device.containerEdits ?? {}],
    };
  });
}

/** YAML is read by a library, which builds without devices do not need. */
async function parseText(text: string, path: string): Promise<Specification> {
  if (path.endsWith('.json')) return JSON.parse(text) as Specification;
  const { parse } = await import('yaml');
  return parse(text) as Specification;
}

function pointOf(one: UserMount): ScaffoldEntry {
  const found = one.type === 'bind' ? statSync(one.source, { throwIfNoEntry: false }) : undefined;
  if (!found && one.type === 'bind')
    throw new EngineError('not-found', `${one.source}, which belongs to a device, is not on this host`);
  return { path: one.destination, kind: found?.isDirectory() === false ? 'file' : 'directory' };
}

function mountOf({ hostPath, containerPath, options = [] }: NonNullable<Edits['mounts']>[number]): UserMount {
  return {
    type: 'bind',
    source: hostPath,
    destination: containerPath,
    readOnly: !options.includes('rw'),
    recursive: options.includes('rbind'),
    readOnlyRecursion: 'off',
    propagation: '',
  };
}
