import { lookup } from 'node:dns/promises';
import { EngineError } from '../base/errors.ts';

/** What the local driver mounts for a volume with options. */
export interface VolumeMount {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

const KNOWN = ['type', 'o', 'device', 'size'];

/** Throws `invalid-argument` in Docker's words. */
export function checkLocalOptions(name: string, options: Readonly<Record<string, string>>): void {
  const bad = (reason: string): EngineError => new EngineError('invalid-argument', `create ${name}: ${reason}`);
  for (const [key, value] of Object.entries(options)) {
    if (!KNOWN.includes(key)) throw bad(`invalid option: "${key}"`);
    if (String(value).includes('\0')) throw bad(`a NUL byte in option "${key}"`);
  }
  if (Object.keys(options).length === 0) return;
  if (options['size'] !== undefined) throw bad('quota size requested but no quota support');
  for (const key of ['device', 'type']) {
    if (!options[key]) throw bad(`missing required option: "${key}"`);
  }
}

/** From the driver's options to mount(2)'s: NFS wants the server's address, which the kernel does not look up. */
export async function localMount(options: Readonly<Record<string, string>>): Promise<VolumeMount> {
  const type = options['type'] ?? '';
  const given = (options['o'] ?? '').split(',').filter((option) => option !== '');
  const source = options['device'] ?? '';
  if (type !== 'nfs' && type !== 'nfs4' && type !== 'cifs') return { type, source, options: given };
  const resolved: string[] = [];
  for (const option of given) {
    resolved.push(option.startsWith('addr=') ? `addr=${await address(option.slice('addr='.length))}` : option);
  }
  return { type, source, options: resolved };
}

async function address(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw new EngineError('unavailable', `error resolving passed in network volume address: ${host}`, { cause: error });
  }
}
