/**
 * Records what dockerd answers to every case: `node tests/clients/record.ts unix:///run/docker.sock [name part]`.
 * The engine must hold the image `busybox` of tests/support. Writes tests/clients/expected.json.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { CASES } from './cases.ts';
import { type CaseResult, runCase } from './run-case.ts';

const [host, only] = process.argv.slice(2);
if (!host) throw new Error('usage: node tests/clients/record.ts HOST [NAME PART]');
const file = new URL('expected.json', import.meta.url);
const expected: Record<string, CaseResult> = only
  ? (JSON.parse(await readFile(file, 'utf8')) as Record<string, CaseResult>)
  : {};
for (const [name, script] of CASES) {
  if (only && !name.includes(only)) continue;
  expected[name] = await runCase(script, host);
  console.log(`${name}: ${expected[name].exitCode}`);
}
await writeFile(file, `${JSON.stringify(expected, null, 1)}\n`);
