/** Flags of `run` for devices and limits. All throw an Error in docker's words. */
import { posix } from 'node:path';
import {
  type DeviceMapping,
  type DeviceRequest,
  type ThrottleDevice,
  type Ulimit,
  ULIMIT_NAMES,
  type WeightDevice,
} from '../../api/container.ts';
import { cutPair, parseCsv } from './csv.ts';
import { parseByteSize } from './size.ts';

/** `nofile=1024:2048` */
export function parseUlimit(text: string): Ulimit {
  const pair = cutPair(text);
  if (!pair) throw new Error(`invalid ulimit argument: ${text}`);
  const [name, limits] = pair;
  if (!ULIMIT_NAMES.includes(name)) throw new Error(`invalid ulimit type: ${name}`);
  const parts = limits.split(':');
  if (parts.length > 2)
    throw new Error(`too many limit value arguments - ${limits}, can only have up to two, \`soft[:hard]\``);
  const [soft, hard] = parts.map((part) => {
    if (!/^[+-]?\d+$/.test(part)) throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(part)}: invalid syntax`);
    return Number(part);
  });
  const top = hard ?? soft!;
  if (top !== -1 && (soft! > top || soft === -1)) {
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${top}`);
  }
  return { Name: name, Soft: soft!, Hard: top };
}

/** `/dev/x[:/dev/y][:rwm]`, or a CDI name (`vendor.com/class=name`), which becomes a device request. */
export function parseDevice(text: string): { mapping: DeviceMapping } | { cdi: string } {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]*\/[A-Za-z0-9][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*$/.test(text))
    return { cdi: text };
  const parts = text.split(':');
  const [source, second, third] = parts;
  if (parts.length > 3 || source === '') throw new Error(`bad format for path: ${text}`);
  const target = second !== undefined && !isDeviceMode(second) ? second : source!;
  const mode = third ?? (second !== undefined && isDeviceMode(second) ? second : 'rwm');
  if (!isDeviceMode(mode)) throw new Error(`bad mode specified: ${mode}`);
  if (!posix.isAbsolute(target)) throw new Error(`${target} is not an absolute path`);
  return { mapping: { PathOnHost: source!, PathInContainer: target, CgroupPermissions: mode } };
}

function isDeviceMode(text: string): boolean {
  return /^[rwm]+$/.test(text) && new Set(text).size === text.length;
}

/** `c 1:3 rwm` */
export function parseDeviceRule(text: string): string {
  if (!/^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$/.test(text))
    throw new Error(`invalid device cgroup format '${text}'`);
  return text;
}

/** `/dev/sda:200` */
export function parseWeightDevice(text: string): WeightDevice {
  const [path, weight, more] = text.split(':');
  if (weight === undefined || more !== undefined || path === '') throw new Error(`bad format: ${text}`);
  if (!path!.startsWith('/dev/')) throw new Error(`bad format for device path: ${text}`);
  const value = Number(weight);
  if (!/^\d+$/.test(weight) || (value > 0 && (value < 10 || value > 1000)))
    throw new Error(`invalid weight for device: ${text}`);
  return { Path: path!, Weight: value };
}

/** `/dev/sda:10mb` */
export function parseThrottleBps(text: string): ThrottleDevice {
  const { path, rate } = throttleParts(text);
  try {
    return { Path: path, Rate: parseByteSize(rate) };
  } catch {
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb`,
    );
  }
}

/** `/dev/sda:1000` */
export function parseThrottleIops(text: string): ThrottleDevice {
  const { path, rate } = throttleParts(text);
  if (!/^\d+$/.test(rate)) {
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>. Number must be a positive integer`,
    );
  }
  return { Path: path, Rate: Number(rate) };
}

function throttleParts(text: string): { path: string; rate: string } {
  const [path, rate, more] = text.split(':');
  if (rate === undefined || more !== undefined || path === '') throw new Error(`bad format: ${text}`);
  if (!path!.startsWith('/dev/')) throw new Error(`bad format for device path: ${text}`);
  return { path: path!, rate };
}

/** `--gpus all`, `--gpus 2`, `--gpus '"device=0,2",capabilities=utility'` */
export function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = {};
  const seen = new Set<string>();
  for (const field of parseCsv(text)) {
    const pair = cutPair(field);
    const key = pair?.[0] ?? 'count';
    const value = pair?.[1] ?? field;
    if (seen.has(key)) throw new Error(`gpu request key '${key}' can be specified only once`);
    seen.add(key);
    switch (key) {
      case 'driver':
        request.Driver = value;
        break;
      case 'count':
        if (value !== 'all' && !/^\d+$/.test(value))
          throw new Error(
            `invalid count (${value}): value must be either "all" or an integer: strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`,
          );
        request.Count = value === 'all' ? -1 : Number(value);
        break;
      case 'device':
        request.DeviceIDs = value.split(',');
        break;
      case 'capabilities':
        request.Capabilities = [[...value.split(','), 'gpu']];
        break;
      case 'options':
        request.Options = Object.fromEntries(value.split(',').map((item) => cutPair(item) ?? [item, '']));
        break;
      default:
        throw new Error(`unexpected key '${key}' in '${field}'`);
    }
  }
  if (!seen.has('count') && request.DeviceIDs === undefined) request.Count = 1;
  request.Capabilities ??= [['gpu']];
  return request;
}
