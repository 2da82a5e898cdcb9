/**
 * Records what dockerd's classic builder answers: `node tests/build/classic/record.ts /run/docker.sock [NAME PART]`.
 * The engine must hold the image `busybox` of tests/support. Writes expected.json.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CASES } from './cases.ts';
import { type ClassicResult, ContextServer, runClassicCase } from './run-case.ts';

const [socketPath, only] = process.argv.slice(2);
if (!socketPath) throw new Error('usage: node tests/build/classic/record.ts SOCKET [NAME PART]');
const file = new URL('expected.json', import.meta.url);
const expected = only ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, ClassicResult>) : {};
const directory = mkdtempSync(join(tmpdir(), 'gantry-classic-'));
try {
  using contexts = new ContextServer(directory);
  const server = await contexts.start();
  for (const [name, one] of Object.entries(CASES)) {
    if (only && !name.includes(only)) continue;
    expected[name] = await runClassicCase(one, { socketPath, server, prefix: `own${process.pid}` });
    console.log(`${name}: ${expected[name].status} ${expected[name].error ?? ''}`);
  }
} finally {
  rmSync(directory, { recursive: true });
}
const sorted = Object.fromEntries(Object.keys(CASES).map((name) => [name, expected[name]]));
writeFileSync(file, `${JSON.stringify(sorted, null, 1)}\n`);
