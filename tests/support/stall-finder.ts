/**
 * What an engine's main thread does while it answers nobody. Loaded into it by `--import`, with `GANTRY_STALLS` naming the
 * file that gets a line of JSON for each stall; it does nothing in other programs and threads. The samples of V8's profiler
 * tell what ran: they are taken by the clock, so a system call that is waited for is seen like a computation.
 *
 *     GANTRY_STALLS=/tmp/stalls NODE_OPTIONS="--import /…/stall-finder.ts" gantry daemon …
 */
import { appendFileSync } from 'node:fs';
import { Session, type Profiler } from 'node:inspector';
import { isMainThread } from 'node:worker_threads';
import { readFileSync } from 'node:fs';

export interface Stall {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Milliseconds in which the loop did not come round. */
  readonly wall: number;
  /** Of those, what the thread had of a processor, and what it waited for one. */
  readonly ran: number;
  readonly waited: number;
  /** Milliseconds by what ran, longest first: innermost function first, then its callers. */
  readonly stacks: readonly (readonly [ms: number, stack: string])[];
}

/** Milliseconds. */
const BEAT = 5;
const STALL = 15;
/** Milliseconds between samples, and after which they are looked through, when the loop stands still for that. */
const SAMPLE = 0.5;
const WINDOW = 2000;

interface Gap {
  readonly from: number;
  readonly to: number;
  readonly ran: number;
  readonly waited: number;
}

function watch(file: string): void {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: SAMPLE * 1000 });
  session.post('Profiler.start');
  let gaps: Gap[] = [];
  let begun = performance.now();
  let last = { at: performance.now(), ...scheduled() };
  const beat = setInterval(() => {
    const now = { at: performance.now(), ...scheduled() };
    if (now.at - last.at > BEAT + STALL) {
      gaps.push({ from: last.at + BEAT, to: now.at, ran: now.ran - last.ran, waited: now.waited - last.waited });
    }
    if (now.at - begun > WINDOW) {
      session.post('Profiler.stop', (_, answer) => {
        if (gaps.length > 0 && answer)
          appendFileSync(
            file,
            stallsOf(answer.profile, gaps)
              .map((each) => `${JSON.stringify(each)}\n`)
              .join(''),
          );
      });
      gaps = [];
      session.post('Profiler.start');
      begun = performance.now();
      last = { at: begun, ...scheduled() };
      return;
    }
    last = now;
  }, BEAT);
  beat.unref();
}

/** Milliseconds that this thread has had, and waited for. */
function scheduled(): { ran: number; waited: number } {
  const [ran, waited] = readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ').map(Number);
  return { ran: ran! / 1e6, waited: waited! / 1e6 };
}

function stallsOf(profile: Profiler.Profile, gaps: readonly Gap[]): Stall[] {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  const stackOf = (id: number): string => {
    const names: string[] = [];
    for (let at: number | undefined = id; at !== undefined && names.length < 14; at = parents.get(at)) {
      const { functionName, url, lineNumber } = nodes.get(at)!.callFrame;
      if (functionName === '(root)') continue;
      names.push(
        url === '' || url.startsWith('node:')
          ? functionName
          : `${functionName || '?'}:${url.split('/').at(-1)}:${lineNumber + 1}`,
      );
    }
    return names.join(' < ');
  };
  // Both clocks are the monotonic one, the profile's in microseconds.
  const offset = performance.now() - Number(process.hrtime.bigint() / 1000n) / 1000;
  const times: number[] = [];
  let at = profile.startTime;
  for (const delta of profile.timeDeltas ?? []) times.push((at += delta) / 1000 + offset);
  return gaps.map((gap) => {
    const parts = new Map<string, number>();
    for (let n = 0; n < times.length; n++) {
      const overlap = Math.min(times[n + 1] ?? times[n]!, gap.to) - Math.max(times[n]!, gap.from);
      if (overlap <= 0) continue;
      const stack = stackOf(profile.samples![n]!);
      parts.set(stack, (parts.get(stack) ?? 0) + overlap);
    }
    const round = (ms: number): number => Math.round(ms * 10) / 10;
    return {
      at: Math.round(performance.timeOrigin + gap.from),
      wall: round(gap.to - gap.from),
      ran: round(gap.ran),
      waited: round(gap.waited),
      stacks: [...parts].map(([stack, ms]) => [round(ms), stack] as const).sort((a, b) => b[0] - a[0]),
    };
  });
}

const file = process.env['GANTRY_STALLS'];
if (file !== undefined && isMainThread && /daemon\/main\.[jt]s$/.test(process.argv[1] ?? '')) watch(file);
