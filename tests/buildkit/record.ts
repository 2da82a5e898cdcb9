/**
 * Records what dockerd and its BuildKit answer to every case:
 * `GANTRY_TEST_PLUGINS=DIR node tests/buildkit/record.ts unix:///run/docker.sock [name part]`.
 * The engine must hold the image `busybox` of tests/support. Writes tests/buildkit/expected.json.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { BUILDX_CASES } from './buildx-cases.ts';
import { COMPOSE_CASES } from './compose-cases.ts';
import { pluginDirectory } from './plugins.ts';
import { type CaseResult, runCase } from './run-case.ts';

const [host, only] = process.argv.slice(2);
const plugins = pluginDirectory();
if (!host || !plugins)
  throw new Error('usage: node tests/buildkit/record.ts HOST [NAME PART], with buildx and Compose');
const file = new URL('expected.json', import.meta.url);
const before = JSON.parse(await readFile(file, 'utf8').catch(() => '{}')) as Record<string, CaseResult>;
const expected: Record<string, CaseResult> = {};
for (const { name, script } of [...BUILDX_CASES, ...COMPOSE_CASES]) {
  if (only && !name.includes(only)) {
    if (before[name]) expected[name] = before[name];
    continue;
  }
  expected[name] = await runCase(script, host, plugins);
  console.log(`${name}: ${expected[name].exitCode}`);
}
await writeFile(file, `${JSON.stringify(expected, null, 1)}\n`);
