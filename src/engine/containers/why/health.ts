import type { Finding } from '../../../api/why.ts';
import type { ContainerRecord } from '../../../state/containers.ts';
import { healthTimings } from '../health-state.ts';
import { span } from './words.ts';

const SHOWN = 300;

/** What a running container's health check says. */
export function healthFindings({ state, config }: ContainerRecord): Finding[] {
  const { health } = state;
  if (!health || !config.Healthcheck || health.Status === 'healthy') return [];
  const { retries, startPeriodMs, intervalMs, timeoutMs } = healthTimings(config.Healthcheck);
  const command = (config.Healthcheck.Test ?? []).slice(1).join(' ');
  const last = health.Log?.at(-1);
  if (health.Status === 'starting') {
    const said =
      last === undefined
        ? 'no probe has ended yet'
        : `the last probe ended with ${last.ExitCode}${output(last.Output)}`;
    return [
      {
        Kind: 'health-starting',
        Text: `its health is not known yet: ${said}; \`${command}\` runs every ${span(intervalMs)}${startPeriodMs > 0 ? `, and failures do not count for the first ${span(startPeriodMs)}` : ''}`,
      },
    ];
  }
  if (health.Status !== 'unhealthy') return [];
  return [
    {
      Kind: 'unhealthy',
      Text: `its health check has failed ${health.FailingStreak} times in a row (${retries} are enough): \`${command}\` ended with ${last?.ExitCode ?? 'nothing'}${output(last?.Output ?? '')}`,
      ...hint(last?.Output ?? '', last?.ExitCode, timeoutMs),
    },
  ];
}

function output(text: string): string {
  const one = text.trim();
  return one === '' ? '' : ` and said: ${one.length > SHOWN ? `${one.slice(0, SHOWN)}…` : one}`;
}

function hint(text: string, code: number | undefined, timeoutMs: number): { Hint?: string } {
  if (/exceeded timeout/.test(text))
    return { Hint: `it did not answer within ${span(timeoutMs)}: a longer --health-timeout, or a program that hangs` };
  if (code === 127 || /not found|no such file/i.test(text))
    return { Hint: 'the image has no such program: probe with one that it has' };
  if (/refused/i.test(text))
    return { Hint: 'nothing listens where it asks, or the program has not come up: a longer --health-start-period' };
  return {};
}
