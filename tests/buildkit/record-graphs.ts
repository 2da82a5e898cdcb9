/**
 * Records what dockerd's BuildKit makes of every definition: `node tests/buildkit/record-graphs.ts /run/docker.sock`.
 * The engine must hold the image `busybox` of tests/support. Writes tests/buildkit/graph-expected.json.
 */
import { writeFile } from 'node:fs/promises';
import { GRAPH_CASES } from './graph-cases.ts';
import { type GraphResult, runGraph } from './run-graph.ts';

const [socket] = process.argv.slice(2);
if (!socket) throw new Error('usage: node tests/buildkit/record-graphs.ts SOCKET');
const expected: Record<string, GraphResult> = {};
for (const one of GRAPH_CASES) expected[one.name] = await runGraph(socket, one);
const masked = JSON.stringify(expected, null, 1)
  .replaceAll(/of ref \S+: /g, 'of ref <ref>: ')
  .replaceAll(/lstat \S+?\/diff\//g, 'lstat <root>/');
await writeFile(new URL('graph-expected.json', import.meta.url), `${masked}\n`);
process.exit(0);
