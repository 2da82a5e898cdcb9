import { EngineError } from '../../base/errors.ts';
import { CAPABILITY_NAMES } from '../../linux/host-facts.ts';

/** What Docker gives a container that asks for nothing. */
const DEFAULT_CAPABILITIES: readonly string[] = (
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL ' +
  'AUDIT_WRITE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);

export function defaultCapabilities(): readonly string[] {
  return DEFAULT_CAPABILITIES;
}

export interface CapabilityRequest {
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly privileged: boolean;
}

/** The container's capabilities. `available` are this process's own: `ALL` and privileged mean those. Throws `invalid-argument` for unknown names. */
export function containerCapabilities(request: CapabilityRequest, available: ReadonlySet<string>): string[] {
  const all = CAPABILITY_NAMES.filter((name) => available.has(name));
  if (request.privileged) return all;
  const add = request.add.map((name) => canonicalCapability(name, 'CapAdd', available));
  const drop = request.drop.map((name) => canonicalCapability(name, 'CapDrop', available));
  if (add.includes('ALL')) return all.filter((name) => !drop.includes(name));
  const base = drop.includes('ALL') ? [] : DEFAULT_CAPABILITIES.filter((name) => !drop.includes(name));
  return [...new Set([...base, ...add])];
}

/** `net_admin`, `NET_ADMIN` and `CAP_NET_ADMIN` are one; `ALL` is all. */
export function canonicalCapability(name: string, field: string, available: ReadonlySet<string>): string {
  const upper = name.toUpperCase();
  if (upper === 'ALL' || upper === 'CAP_ALL') return 'ALL';
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (!CAPABILITY_NAMES.includes(full)) {
    throw new EngineError('invalid-argument', `invalid ${field}: unknown capability: "${full}"`);
  }
  if (field === 'CapAdd' && !available.has(full)) {
    throw new EngineError(
      'invalid-argument',
      `invalid ${field}: capability not supported by your kernel or not available in the current environment: "${full}"`,
    );
  }
  return full;
}
