import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { describe } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';
import { CASES } from './cases.ts';
import { DIFFERENCES } from './differences.ts';
import { type CaseResult, runCase } from './run-case.ts';

export interface Difference {
  readonly why: string;
  readonly result: Partial<CaseResult>;
}

export interface SuiteOptions {
  readonly title: string;
  /** Whether the engine is an unprivileged user's, and so are the clients. */
  readonly rootless?: boolean;
  /** Beside those of every engine. */
  readonly differences?: Readonly<Record<string, Difference | undefined>>;
  /** Which cases; the default is all. */
  readonly chosen?: (name: string, index: number) => boolean;
}

/** The unmodified docker CLI against Gantry: what it prints and how it exits must be as recorded from dockerd 28.5. */
export function clientSuite({ title, rootless = false, differences = {}, chosen = () => true }: SuiteOptions): void {
  const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as Record<
    string,
    CaseResult
  >;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-clients-'));
  const daemon = new DaemonProcess({ directory, rootless });
  const docker = spawnSync('docker', ['--version']).status === 0;

  describe(
    title,
    {
      skip: docker ? false : 'no docker CLI on this machine: apt-get install docker-cli (or docker.io)',
      concurrency: 2,
    },
    () => {
      runsDaemon(daemon, { busybox: true });

      for (const [index, [name, script]] of CASES.entries()) {
        if (!chosen(name, index)) continue;
        const differs = differences[name] ?? DIFFERENCES[name];
        test(differs ? `${name} (differs: ${differs.why})` : name, async () => {
          const result = await runCase(script, daemon.host, daemon.user);
          assert.deepEqual(result, differs ? { ...expected[name], ...differs.result } : expected[name]);
        });
      }
    },
  );
}
