import type { ContainerFact, Finding } from '../../../api/why.ts';
import type { ContainerRecord } from '../../../state/containers.ts';
import { span } from './words.ts';

/** What the restart policy does about a container that does not run, or did. */
export function restartFindings(
  record: Pick<ContainerRecord, 'state' | 'hostConfig' | 'restartCount' | 'stoppedByHand'>,
  facts: readonly ContainerFact[],
): Finding[] {
  const { state, hostConfig, restartCount, stoppedByHand } = record;
  const { Name: policy = 'no', MaximumRetryCount: limit = 0 } = hostConfig.RestartPolicy ?? {};
  const end = facts.findLast(({ Kind }) => Kind === 'ended' || Kind === 'start-failed');
  const times = `restarted ${restartCount} ${restartCount === 1 ? 'time' : 'times'} since somebody started it`;
  if (state.status === 'restarting') {
    const delay = end?.RestartAfterMs;
    return [
      {
        Kind: 'restarting',
        Text: `its policy (${policy}) starts it again${delay === undefined ? '' : ` ${span(delay)} after its end`}; ${times}`,
        Hint: 'each run shorter than 10 s doubles the pause, to at most a minute; gantry stop ends it',
      },
    ];
  }
  if (state.status === 'running' || state.status === 'paused') {
    return restartCount > 0 ? [{ Kind: 'restarted', Text: `the policy ${policy} has ${times}; ${runs(facts)}` }] : [];
  }
  if (policy === 'no' || policy === '' || state.status === 'created') return [];
  const not = (why: string): Finding[] => [
    { Kind: 'not-restarted', Text: `it is not restarted, for ${why} (policy ${policy})` },
  ];
  if (stoppedByHand) return not('somebody stopped it');
  if (policy === 'on-failure' && state.exitCode === 0) return not('it ended without an error');
  if (policy === 'on-failure' && limit > 0 && restartCount >= limit)
    return not(`that was tried ${restartCount} times, as many as allowed`);
  if (end?.Kind === 'start-failed') return not('a start that fails like this one fails each time');
  if (end?.Unseen) return not('its end was found by an engine that has not started it yet');
  return [];
}

/** `its last runs ended with 1, 1, 137` */
function runs(facts: readonly ContainerFact[]): string {
  const codes = facts.filter(({ Kind }) => Kind === 'ended').map(({ ExitCode }) => ExitCode);
  return codes.length === 0
    ? 'its ends are not recorded any more'
    : `its last runs ended with ${codes.slice(-5).join(', ')}`;
}
