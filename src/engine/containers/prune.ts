import { checkFilters, type Filters, matchesLabels } from '../../api/filters.ts';
import type { PruneContainersReport } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import { parseTime } from '../../base/time.ts';
import type { ContainerContext } from './context.ts';
import { removeContainer } from './remove.ts';
import { containerSizes } from './sizes.ts';
import { countsAsRunning } from './state.ts';

/** Removes every container that does not run and that the filters want. One that starts meanwhile is left. */
export async function pruneContainers(context: ContainerContext, filters: Filters): Promise<PruneContainersReport> {
  checkFilters(filters, ['label', 'label!', 'until']);
  const untilMs = pruneUntil(filters, Date.now());
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const record of context.store.list()) {
    const { id, config, createdAt, state } = record;
    if (countsAsRunning(state) || (untilMs !== undefined && Date.parse(createdAt) > untilMs)) continue;
    if (!matchesLabels(filters, config.Labels) || excluded(filters, config.Labels)) continue;
    try {
      const { SizeRw = 0 } = await containerSizes(context, record);
      await removeContainer(context, id);
      deleted.push(id);
      reclaimed += SizeRw;
    } catch (error) {
      const code = error instanceof EngineError ? error.code : 'internal';
      if (code !== 'not-found' && code !== 'conflict') throw error;
    }
  }
  context.events.publish('container', 'prune', '', { reclaimed: String(reclaimed) });
  return { ContainersDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed };
}

function excluded(filters: Filters, labels: Record<string, string> | undefined): boolean {
  return (filters.get('label!') ?? []).some((label) => matchesLabels(new Map([['label', [label]]]), labels));
}

/** Milliseconds since the epoch: `2h30m` before now, a time, or Unix seconds. Throws `invalid-argument`. */
export function pruneUntil(filters: Filters, nowMs: number): number | undefined {
  const [text, ...more] = filters.get('until') ?? [];
  if (text === undefined) return undefined;
  if (more.length > 0) throw new EngineError('invalid-argument', 'more than one until filter specified');
  const units: Readonly<Record<string, number>> = {
    ns: 1e-6,
    us: 1e-3,
    µs: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
  };
  if (/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) {
    const parts = text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g);
    return [...parts].reduce((time, [, amount, unit]) => time - Number(amount) * units[unit!]!, nowMs);
  }
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000;
  const nanos = parseTime(text) ?? parseTime(`${text}Z`) ?? parseTime(`${text}T00:00:00Z`);
  if (nanos === undefined) {
    throw new EngineError('invalid-argument', `failed to parse value as time or duration: ${JSON.stringify(text)}`);
  }
  return Number(nanos / 1_000_000n);
}
