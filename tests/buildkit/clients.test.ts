/** buildx, bake and Compose as they are: what they do with Gantry must be what they did with dockerd 28.5 when it was recorded. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { describe } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';
import { BUILDX_CASES } from './buildx-cases.ts';
import { COMPOSE_CASES } from './compose-cases.ts';
import { DIFFERENCES } from './differences.ts';
import { pluginDirectory } from './plugins.ts';
import { type CaseResult, runCase } from './run-case.ts';

const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as Record<
  string,
  CaseResult
>;
const directory = mkdtempSync(join(tmpdir(), 'gantry-buildkit-'));
const daemon = new DaemonProcess({ directory });
const plugins = pluginDirectory();
const all = process.env['GANTRY_TEST_ALL'] === '1';

/** Commands that are no matter of a case: where they are tested, or why there is nothing to test. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'buildx help': 'says what buildx is',
  'buildx imagetools': 'registry.test.ts: its commands',
  'buildx imagetools create': 'registry.test.ts',
  'buildx imagetools inspect': 'registry.test.ts',
  'buildx prune': 'registry.test.ts: it would take the cache of the cases that run beside it',
  'buildx history import': 'hands a file to Docker Desktop',
  'buildx history open': 'hands an address to Docker Desktop',
  'compose publish': 'speaks to a registry by itself, over TLS; the engine is only asked to push',
  'compose push': 'registry.test.ts',
};

/** The commands that a client lists in its help. */
function commandsOf(program: string, group: readonly string[]): string[] {
  const help = execFileSync(program, [...group, '--help'], { encoding: 'utf8' });
  const section = /^(?:Available )?Commands:\n((?: .*\n)+)/m.exec(help)?.[1] ?? '';
  return [...section.matchAll(/^ +([a-z-]+)/gm)].map(([, name]) => name!);
}

describe(
  'buildx and Compose as against dockerd',
  {
    skip: plugins === undefined ? 'buildx and Compose could not be had: see tools/setup-tests.sh' : false,
    concurrency: 2,
  },
  () => {
    runsDaemon(daemon, { busybox: true });

    test('every command of buildx and of Compose has a case', () => {
      const scripts = [...BUILDX_CASES, ...COMPOSE_CASES].map(({ script }) => script).join('\n');
      for (const [client, groups] of [
        ['docker-buildx', [[], ['history'], ['imagetools']]],
        ['docker-compose', [[]]],
      ] as const)
        for (const group of groups) {
          const words = client === 'docker-buildx' ? ['buildx', ...group] : ['compose'];
          for (const command of commandsOf(join(plugins!, client), group)) {
            const whole = [...words, command].join(' ');
            const flags = '(?: -[-\\w=./$]+(?: [a-z]+)?)*';
            const called = new RegExp(`\\b${words.join(' ')}${flags} ${command}\\b`);
            const short = words[0] === 'compose' && new RegExp(`\\bc${flags} ${command}\\b`);
            const has = called.test(scripts) || (short && short.test(scripts));
            assert.equal(has, ELSEWHERE[whole] === undefined, `${whole}: a case, or a place in ELSEWHERE, not both`);
          }
        }
    });

    for (const { name, script, always } of [...BUILDX_CASES, ...COMPOSE_CASES]) {
      if (!always && !all) continue;
      const differs = DIFFERENCES[name];
      test(differs ? `${name} (differs: ${differs.why})` : name, async () => {
        const result = await runCase(script, daemon.host, plugins!);
        assert.deepEqual(result, differs ? { ...expected[name], ...differs.result } : expected[name]);
      });
    }
  },
);
