import type { ContainerFact, Finding, WhyDocument } from '../../../api/why.ts';
import { errorCode } from '../../../base/errors.ts';
import { listeningSockets } from '../../../linux/listening-sockets.ts';
import type { ContainerRecord } from '../../../state/containers.ts';
import type { DepartedContainer } from '../../../state/departed-containers.ts';
import { type ContainerContext, findContainer } from '../context.ts';
import { lastOutput } from './last-output.ts';
import { hasProcess } from '../state.ts';
import { endingFinding } from './ending.ts';
import { failedStart } from './failed-start.ts';
import { healthFindings } from './health.ts';
import { dependencyFindings } from './needs.ts';
import { outputFindings } from './output.ts';
import { reachFindings } from './reach.ts';
import { restartFindings } from './restarts.ts';
import { authorName, span } from './words.ts';

/** Why a container is as it is, one that was removed lately too. Throws `not-found`, `invalid-argument` (several). */
export async function whyContainer(context: ContainerContext, nameOrId: string): Promise<WhyDocument> {
  let record: ContainerRecord;
  try {
    record = findContainer(context, nameOrId);
  } catch (error) {
    const departed = errorCode(error) === 'not-found' ? context.store.departed.find(nameOrId) : undefined;
    if (!departed) throw error;
    return departedDocument(departed);
  }
  const facts = record.facts ?? [];
  const badEnd = !hasProcess(record.state) && (record.state.exitCode !== 0 || record.state.error !== '');
  const showOutput = badEnd || record.restartCount > 0 || record.state.health?.Status === 'unhealthy';
  const output = showOutput ? await lastOutput(context, record) : [];
  return {
    Id: record.id,
    Name: record.name,
    Image: record.config.Image ?? '',
    State: record.state.status,
    Findings: await findings(context, record, output),
    Facts: facts,
    Output: output,
  };
}

async function findings(
  context: ContainerContext,
  record: ContainerRecord,
  output: readonly string[],
): Promise<Finding[]> {
  const facts = record.facts ?? [];
  const { state } = record;
  const others = dependencyFindings(record, context.store.list());
  if (state.status === 'created' || lastOf(facts, ['started', 'start-failed'])?.Kind === 'start-failed') {
    return [...notStarted(facts, state.error), ...others, ...restartFindings(record, facts)];
  }
  const restarts = restartFindings(record, facts);
  if (!hasProcess(state)) {
    const dependencies = state.exitCode === 0 ? [] : others;
    const ended = endOf(record, facts);
    return [ended, ...(state.exitCode === 0 ? [] : outputFindings(output, record)), ...dependencies, ...restarts];
  }
  const paused = lastOf(facts, ['paused']);
  const health = healthFindings(record);
  return [
    ...(state.status === 'paused'
      ? [{ Kind: 'paused', Text: `${authorName(paused?.By)} has paused it`, Hint: 'gantry unpause lets it go on' }]
      : []),
    ...health,
    ...(health.some(({ Kind }) => Kind === 'unhealthy') ? others : []),
    ...(await reach(context, record)),
    ...restarts,
    ...(state.status === 'running' ? [runs(record, facts)] : []),
  ];
}

function notStarted(facts: readonly ContainerFact[], error: string): Finding[] {
  const failed = lastOf(facts, ['start-failed']);
  if (failed || error !== '') return [failedStart(failed?.Error ?? error)];
  return [{ Kind: 'never-started', Text: 'nobody has started it', Hint: 'gantry start' }];
}

function endOf(record: Pick<ContainerRecord, 'state' | 'hostConfig'>, facts: readonly ContainerFact[]): Finding {
  const begun = facts.findLastIndex(({ Kind }) => Kind === 'started');
  return endingFinding({
    state: record.state,
    facts: facts.slice(begun + 1),
    memory: record.hostConfig.Memory ?? 0,
  });
}

function runs({ state }: ContainerRecord, facts: readonly ContainerFact[]): Finding {
  const started = lastOf(facts, ['started']);
  const since = span(Math.max(0, Date.now() - Date.parse(state.startedAt)));
  const health = state.health?.Status === 'healthy' ? ' and is healthy' : '';
  return { Kind: 'running', Text: `it has run for ${since}${health}; ${authorName(started?.By)} started it` };
}

async function reach(context: ContainerContext, record: ContainerRecord): Promise<Finding[]> {
  const internal: string[] = [];
  const missing: string[] = [];
  if (record.attachment?.mode === 'bridge') {
    for (const name of new Set([...Object.keys(record.networks), ...Object.keys(record.attachment.endpoints)])) {
      const network = await context.findNetwork(name);
      if (!network) missing.push(name);
      else if (network.internal) internal.push(network.name);
    }
  }
  return reachFindings({ record, listening: listeningSockets(record.state.pid), internal, missing });
}

function departedDocument(departed: DepartedContainer): WhyDocument {
  const { id, name, image, state, hostConfig, facts } = departed;
  const removed = lastOf(facts, ['removed']);
  const before = facts.filter((fact) => fact !== removed);
  const failed = lastOf(before, ['started', 'start-failed'])?.Kind === 'start-failed';
  const auto = removed?.By?.Kind === 'engine';
  const ran = lastOf(before, ['started']) !== undefined;
  return {
    Id: id,
    Name: name,
    Image: image,
    State: 'removed',
    Findings: [
      {
        Kind: 'removed',
        Text: auto ? 'it was removed at its end, as --rm asks for' : `${authorName(removed?.By)} removed it`,
        ...(!auto && { Hint: 'gantry undo --list shows what can be brought back' }),
      },
      ...(failed ? notStarted(before, state.error) : ran ? [endOf({ state, hostConfig }, before)] : []),
      ...(lastOf(before, ['ended'])?.Hints ?? []),
    ],
    Facts: facts,
    Output: [],
  };
}

function lastOf(facts: readonly ContainerFact[], kinds: readonly ContainerFact['Kind'][]): ContainerFact | undefined {
  return facts.findLast(({ Kind }) => kinds.includes(Kind));
}
