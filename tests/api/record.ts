/**
 * Records what dockerd answers to every case: `node tests/api/record.ts /run/docker.sock`.
 * The engine must hold the image `busybox` of tests/support. Writes tests/api/expected.json.
 */
import { writeFile } from 'node:fs/promises';
import { CASES } from './cases.ts';
import { type ApiResult, runCase } from './run-case.ts';

const [socketPath] = process.argv.slice(2);
if (!socketPath) throw new Error('usage: node tests/api/record.ts SOCKET');
const prefix = `api${process.pid}`;
const expected: (ApiResult & { name: string })[] = [];
for (const one of CASES) {
  const result = await runCase(one, socketPath, prefix);
  expected.push({ name: one.name, ...result });
  console.log(`${one.name}: ${result.status} ${result.text ?? ''}`);
}
await writeFile(new URL('expected.json', import.meta.url), `${JSON.stringify(expected, null, 1)}\n`);
