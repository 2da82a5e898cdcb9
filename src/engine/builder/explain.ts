import type { Digest } from '../../oci/digest.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { BuildRecords, StepInput } from '../../state/build-records.ts';
import type { BuildRequest } from '../engine.ts';
import type { StageState } from './stages/stage-state.ts';

interface ExplainedStep {
  readonly key: Digest;
  readonly slot: string;
  readonly inputs: readonly StepInput[];
  readonly state: Pick<StageState, 'key' | 'chain'>;
  readonly request: Pick<BuildRequest, 'noCache'>;
  /** `common.dockerfile:3`, of a step that is of another file than the Dockerfile. */
  readonly place?: string | undefined;
}

const MAX_FILES = 10;

/** Why a step is not taken from the cache, as lines for the build's output. */
export function explainStep(
  { records, snapshotter }: { readonly records: BuildRecords; readonly snapshotter: Pick<Snapshotter, 'stat'> },
  { key, slot, inputs, state, request, place }: ExplainedStep,
): string {
  const where = place === undefined ? '' : ` (${place})`;
  const lines = (reasons: readonly string[]): string =>
    reasons.map((reason) => ` ---> Not cached${where}: ${reason}\n`).join('');
  if (request.noCache === true) return lines(['the build was asked not to use the cache']);
  const same = records.get(key);
  if (same?.layer) {
    return snapshotter.stat(same.layer.chain)
      ? lines(['the step below was made again, with other files'])
      : lines(['its layer was removed (prune)']);
  }
  const before = records.newestOf(slot);
  if (!before?.inputs) return lines(['no step like this was built before']);
  const reasons = differences(before.inputs, inputs);
  // What stands below is named only where nothing of the step itself is different.
  if (reasons.length === 0 && before.parent !== state.key) reasons.push('a step below changed, or the base image');
  return lines(reasons.length > 0 ? reasons : ['its record was removed (prune)']);
}

function differences(before: readonly StepInput[], now: readonly StepInput[]): string[] {
  const old = new Map(before.map((input) => [input.name, input]));
  const reasons: string[] = [];
  for (const input of now) {
    const was = old.get(input.name);
    old.delete(input.name);
    if (!was) reasons.push(`${input.name} is new`);
    else if (was.value !== input.value) reasons.push(...inputDifference(was, input));
  }
  for (const name of old.keys()) reasons.push(`${name} is gone`);
  return reasons;
}

function inputDifference(before: StepInput, now: StepInput): string[] {
  if (!before.files || !now.files) {
    return now.name.startsWith('ARG ') || now.name === 'files'
      ? [`${now.name} changed`]
      : [`${now.name} changed: ${shorten(before.value)} → ${shorten(now.value)}`];
  }
  const old = new Map(Object.entries(before.files));
  const reasons: string[] = [];
  for (const [name, digest] of Object.entries(now.files)) {
    const was = old.get(name);
    old.delete(name);
    if (was === undefined) reasons.push(`file ${name || '.'} is new`);
    else if (was !== digest) reasons.push(`file ${name || '.'} changed`);
  }
  for (const name of old.keys()) reasons.push(`file ${name} is gone`);
  if (reasons.length === 0) return [`${now.name} changed`];
  const more = reasons.length - MAX_FILES;
  return more > 0 ? [...reasons.slice(0, MAX_FILES), `and ${more} more files`] : reasons;
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
