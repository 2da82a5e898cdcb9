import { statSync } from 'node:fs';
import { posix } from 'node:path';
import type { DeviceMapping, HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import { type DeviceNode, deviceAt, devicesBelow } from '../../linux/devices.ts';
import type { LinuxDevice, LinuxResources } from './oci-spec.ts';

type DeviceRule = NonNullable<LinuxResources['devices']>[number];

/** Nothing, but what every program expects to find: zero, null, urandom, random, tty, console. */
const DEFAULT_RULES: readonly DeviceRule[] = [
  { allow: false, access: 'rwm' },
  ...[
    [1, 5],
    [1, 3],
    [1, 9],
    [1, 8],
    [5, 0],
    [5, 1],
  ].map(([major, minor]): DeviceRule => ({ allow: true, type: 'c', major: major!, minor: minor!, access: 'rwm' })),
];

/** Nodes to make, and rules of the device cgroup. Throws `invalid-argument`. */
export function containerDevices(hostConfig: HostConfig): {
  devices: LinuxDevice[];
  rules: DeviceRule[];
  /** Those that have another path in the container. */
  renamed: { readonly source: string; readonly destination: string }[];
} {
  if (hostConfig.Privileged === true) {
    return {
      devices: devicesBelow('/dev').map((node) => linuxDevice(node, node.path)),
      rules: [{ allow: true, access: 'rwm' }],
      renamed: [],
    };
  }
  const devices: LinuxDevice[] = [];
  const rules = [...DEFAULT_RULES];
  const renamed: { source: string; destination: string }[] = [];
  for (const mapping of hostConfig.Devices ?? []) {
    const access = mapping.CgroupPermissions || 'rwm';
    for (const { node, path } of mappedDevices(mapping)) {
      devices.push(linuxDevice(node, path));
      if (path !== node.path) renamed.push({ source: node.path, destination: path });
      rules.push({ allow: true, type: node.type, major: node.major, minor: node.minor, access });
    }
  }
  for (const rule of hostConfig.DeviceCgroupRules ?? []) rules.push(parseDeviceRule(rule));
  return { devices, rules, renamed };
}

/** One node, or all nodes of a directory below the path given for it. */
function mappedDevices(mapping: DeviceMapping): { node: DeviceNode; path: string }[] {
  const source = mapping.PathOnHost;
  const target = mapping.PathInContainer || source;
  try {
    const node = deviceAt(source);
    if (node) return [{ node, path: target }];
    if (statSync(source).isDirectory()) {
      const nodes = devicesBelow(source);
      if (nodes.length > 0) {
        return nodes.map((below) => ({ node: below, path: posix.join(target, posix.relative(source, below.path)) }));
      }
    }
  } catch (error) {
    throw new EngineError(
      'invalid-argument',
      `error gathering device information while adding custom device "${source}": ${reason(error)}`,
      { cause: error },
    );
  }
  throw new EngineError(
    'invalid-argument',
    `error gathering device information while adding custom device "${source}": not a device node`,
  );
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'no such file or directory';
  return (error as Error).message;
}

function linuxDevice(node: DeviceNode, path: string): LinuxDevice {
  return {
    path,
    type: node.type,
    major: node.major,
    minor: node.minor,
    fileMode: node.mode,
    uid: node.uid,
    gid: node.gid,
  };
}

/** `c 1:3 rwm`, `a *:* rwm`. Throws `invalid-argument` in Docker's words. */
export function parseDeviceRule(rule: string): DeviceRule {
  const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(rule);
  if (!match) throw new EngineError('invalid-argument', `invalid device cgroup rule format: '${rule}'`);
  const parsed: DeviceRule = { allow: true, type: match[1]!, access: match[4]! };
  if (match[2] !== '*') parsed.major = Number(match[2]);
  if (match[3] !== '*') parsed.minor = Number(match[3]);
  return parsed;
}
