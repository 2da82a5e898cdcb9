import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import type { EngineOptions } from '../../src/engine/config.ts';
import { Engine } from '../../src/index.ts';
import { leftBehind } from './leak-check.ts';

/** What an engine of its own for a test is opened with: private roots, bridge and cgroup parent, so that many run side by side. */
export interface PrivateRoots {
  readonly directory: string;
  readonly options: EngineOptions;
  /** Asserts that nothing is left on the host, and deletes the roots. */
  discard(): Promise<void>;
}

export async function privateRoots(): Promise<PrivateRoots> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-engine-'));
  const tag = `${process.pid.toString(36)}${randomInt(36 ** 3).toString(36)}`.slice(-9);
  const bridge = `gt${tag}`;
  const cgroupParent = `gantry-test-${tag}`;
  const reports: string[] = [];
  return {
    directory,
    options: {
      dataRoot: join(directory, 'data'),
      execRoot: join(directory, 'run'),
      bridge: { name: bridge, cidr: `${unroutedSubnet()}.1/24` },
      cgroupParent: `/${cgroupParent}`,
      report: (message) => void reports.push(message),
    },
    async discard() {
      const left = await leftBehind({ directory, bridge, cgroupParent });
      assert.deepEqual(left, []);
      await rm(directory, { recursive: true, force: true });
      assert.deepEqual(reports, []);
    },
  };
}

/** The first three bytes of a /24 that no route of the host leads into: other engines' networks lie there too. */
function unroutedSubnet(): string {
  // /proc/net/route: interface, destination, gateway, flags, three counters, mask; addresses with their last byte first.
  const routes = readFileSync('/proc/net/route', 'latin1')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
    .map((words) => ({ destination: Number.parseInt(words[1]!, 16), mask: Number.parseInt(words[7]!, 16) }))
    .filter(({ mask }) => mask !== 0);
  for (;;) {
    const [second, third] = [100 + randomInt(80), randomInt(255)];
    const address = 10 | (second << 8) | (third << 16);
    if (!routes.some(({ destination, mask }) => ((address ^ destination) & mask & 0xffffff) === 0))
      return `10.${second}.${third}`;
  }
}

/** Runs `work` with an engine that has the image `busybox`, removes all its containers, and checks that nothing is left. */
export async function withEngine(work: (engine: Engine, roots: PrivateRoots) => Promise<void>): Promise<void> {
  const roots = await privateRoots();
  const engine = await Engine.open(roots.options);
  try {
    await engine.images.pull('busybox', {});
    await work(engine, roots);
  } finally {
    for (const { Id } of await engine.containers.list({ all: true })) {
      await engine.containers.remove(Id, { force: true, volumes: true });
    }
    await engine.close();
  }
  await roots.discard();
}

/** Collects what a container printed, by stream. */
export async function printed(
  output: AsyncIterable<{ readonly stream: 1 | 2; readonly data: Uint8Array }>,
): Promise<{ stdout: string; stderr: string }> {
  const texts = { 1: '', 2: '' };
  for await (const { stream, data } of output) texts[stream] += Buffer.from(data).toString('utf8');
  return { stdout: texts[1], stderr: texts[2] };
}
