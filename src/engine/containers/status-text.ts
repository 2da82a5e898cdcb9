import { parseTime } from '../../base/time.ts';
import type { RunState } from '../../state/containers.ts';

/** The STATUS column of `ps`: `Up 3 minutes (healthy)`, `Exited (0) 5 seconds ago`. */
export function statusText(state: RunState, nowMs: number): string {
  switch (state.status) {
    case 'running':
      return `Up ${since(state.startedAt, nowMs)}${healthText(state)}`;
    case 'paused':
      return `Up ${since(state.startedAt, nowMs)} (Paused)`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt, nowMs)} ago`;
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    case 'created':
      return 'Created';
    case 'exited':
      return `Exited (${state.exitCode}) ${since(state.finishedAt, nowMs)} ago`;
  }
}

function healthText(state: RunState): string {
  const status = state.health?.Status;
  if (status === undefined || status === 'none') return '';
  return status === 'starting' ? ' (health: starting)' : ` (${status})`;
}

function since(time: string, nowMs: number): string {
  const nanos = parseTime(time);
  return nanos === undefined ? 'Less than a second' : humanDuration(nowMs - Number(nanos / 1_000_000n));
}

/** A duration in the largest unit that says enough, as Docker words it: `About a minute`, `3 hours`, `2 weeks`. */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(ms / 3_600_000);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(ms / 3_600_000 / 24 / 365)} years`;
}
