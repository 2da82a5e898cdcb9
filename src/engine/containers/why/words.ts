import { constants } from 'node:os';
import type { FactAuthor } from '../../../api/why.ts';

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** `SIGTERM`; `signal 40` for one without a name. */
export function signalName(number: number): string {
  return SIGNALS.get(number) ?? `signal ${number}`;
}

/** Who did it, after `by`: `docker stop web (pid 77, uid 0)`. */
export function authorName(by: FactAuthor | undefined): string {
  if (!by) return 'somebody';
  if (by.Kind === 'engine') return by.Reason === undefined ? 'the engine' : `the engine (${by.Reason})`;
  if (by.Kind === 'program') return 'the program that has the engine in it';
  if (by.Command !== undefined) return `\`${by.Command}\` (pid ${by.Pid}, uid ${by.Uid})`;
  const agent = by.Agent ?? 'a client';
  const where = by.Address ?? (by.Pid === undefined ? undefined : `pid ${by.Pid}, uid ${by.Uid}`);
  return where === undefined ? `${agent} (${by.Request})` : `${agent} (${where}, ${by.Request})`;
}

/** `250 ms`, `4 s`, `2 min`, `3 h`, `5 days` */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function bytes(count: number): string {
  return count >= 2 ** 30 ? `${+(count / 2 ** 30).toFixed(1)} GiB` : `${+(count / 2 ** 20).toFixed(1)} MiB`;
}
