import { parseDuration } from '../../compose/model/units.ts';
import { asText, asTexts, type Dict, dict, textOf } from '../../compose/model/value.ts';
import type { Report } from './report.ts';

/** A health check as probes: who is not ready gets no traffic, who is ill is restarted. Empty when there is none. */
export function probes(health: Dict, field: string, report: Report): Dict {
  if (Object.keys(health).length === 0) return dict();
  const test = asTexts(health['test']);
  if (health['disable'] === true || test[0] === 'NONE') return dict();
  if (test.length < 2) {
    report.add(`${field}.test`, 'the image’s own health check is not known to Kubernetes: write it into the file');
    return dict();
  }
  const command = test[0] === 'CMD-SHELL' ? ['/bin/sh', '-c', test[1]!] : test.slice(1);
  const seconds = (key: string, initial: number): number => {
    const given = asText(health[key]);
    return given === undefined ? initial : Math.max(1, Math.ceil(parseDuration(given) / 1e9));
  };
  const period = seconds('interval', 30);
  const probe = dict([
    ['exec', dict([['command', command]])],
    ['periodSeconds', period],
    ['timeoutSeconds', seconds('timeout', 30)],
    ['failureThreshold', Number(health['retries'] ?? 3)],
  ]);
  const start = asText(health['start_period']);
  if (start === undefined || parseDuration(start) === 0)
    return dict([
      ['livenessProbe', probe],
      ['readinessProbe', probe],
    ]);
  const startPeriod = Math.max(1, seconds('start_interval', 5));
  return dict([
    ['livenessProbe', probe],
    ['readinessProbe', probe],
    [
      'startupProbe',
      dict([
        ...Object.entries(probe),
        ['periodSeconds', startPeriod],
        [
          'failureThreshold',
          Math.ceil(parseDuration(textOf(start)) / 1e9 / startPeriod) + Number(health['retries'] ?? 3),
        ],
      ]),
    ],
  ]);
}
