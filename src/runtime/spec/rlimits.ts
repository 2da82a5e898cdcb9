import { type Ulimit, ULIMIT_NAMES } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import type { ProcessSpec } from './oci-spec.ts';

/** The address space is left out of Docker's command, not of its API. */
const NAMES = new Set([...ULIMIT_NAMES, 'as']);

/**
 * The limits asked for. What is not asked for is inherited from the engine. Without CAP_SYS_RESOURCE nothing can be
 * raised over this process's own hard limit: it is lowered to that, with a warning. Throws `invalid-argument`.
 */
export function containerRlimits(
  ulimits: readonly Ulimit[],
  host: Pick<HostFacts, 'rlimits' | 'raisesLimits'>,
): { rlimits: NonNullable<ProcessSpec['rlimits']>; warnings: string[] } {
  const warnings: string[] = [];
  const byName = new Map<string, { soft: number; hard: number }>();
  for (const { Name, Soft, Hard } of ulimits) {
    const name = Name.toLowerCase();
    if (!NAMES.has(name)) throw new EngineError('invalid-argument', `invalid ulimit type: ${Name}`);
    const wanted = { soft: unlimited(Soft), hard: unlimited(Hard) };
    if (wanted.soft > wanted.hard) {
      throw new EngineError(
        'invalid-argument',
        `ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`,
      );
    }
    const own = host.rlimits.get(name)?.hard ?? Infinity;
    if (wanted.hard > own && !host.raisesLimits) {
      warnings.push(
        `Ulimit ${name} lowered to ${own}: the engine has no CAP_SYS_RESOURCE to raise its own hard limit.`,
      );
      wanted.hard = own;
      wanted.soft = Math.min(wanted.soft, own);
    }
    byName.set(name, wanted);
  }
  const rlimits = [...byName]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { soft, hard }]) => ({
      type: `RLIMIT_${name.toUpperCase()}`,
      soft: infinity(soft),
      hard: infinity(hard),
    }));
  return { rlimits, warnings };
}

function unlimited(value: number): number {
  return value < 0 ? Infinity : value;
}

/** RLIM_INFINITY, 2⁶⁴-1, is no JavaScript number: it goes into the JSON digit by digit. */
function infinity(value: number): number {
  if (value !== Infinity) return value;
  return (JSON as unknown as { rawJSON(text: string): number }).rawJSON('18446744073709551615');
}
