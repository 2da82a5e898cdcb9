/**
 * What it takes to know an image's packages and what is known about them: a Debian of 150 MB and more, made here.
 *
 *     node bench/scan.ts gantry=unix:///run/gantry/gantry.sock
 *
 * Other engines have no such command. The list of vulnerabilities is made here too, in the form and of half the size of
 * Debian's tracker (36,000 entries for 3,000 packages), for none comes with Gantry.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, output, readPeers, record, timed } from './measure.ts';

const ours = readPeers(process.argv.slice(2)).find(({ name }) => name === 'gantry');
if (ours === undefined) throw new Error('usage: node bench/scan.ts gantry=HOST');
const gantry = `${join(import.meta.dirname, '..', 'gantry')} -H ${ours.host}`;
const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-scan-'));
const list = join(directory, 'debian.json');
const IMAGE = `bench-scan-${process.pid}`;
const RELEASES = ['bullseye', 'bookworm', 'trixie', 'sid'];
const KNOWN = ['openssl', 'bash', 'curl', 'git', 'glibc', 'perl', 'zlib'];

function tracker(): unknown {
  const entry = (number: number): unknown => ({
    description: 'A flaw in the reading of something that is too long, told in a sentence or two.',
    scope: 'local',
    releases: Object.fromEntries(
      RELEASES.map((release) => [
        release,
        { status: number % 3 ? 'open' : 'resolved', fixed_version: '9:1.2', urgency: number % 2 ? 'medium' : 'low' },
      ]),
    ),
  });
  const entries = (index: number): unknown =>
    Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`CVE-2024-${index * 12 + n + 1000}`, entry(n)]));
  return Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [KNOWN[n] ?? `package-${n}`, entries(n)]));
}

try {
  writeFileSync(list, JSON.stringify(tracker()));
  await timed(ours, `${gantry} image bootstrap --include python3,perl,git,curl -t ${IMAGE} debian:bookworm-slim`);
  const size = Number(output(ours, `${gantry} image inspect -f '{{.Size}}' ${IMAGE}`));
  if (!(size >= 150e6)) throw new Error(`the image has ${size} bytes only`);
  const times: number[] = [];
  for (let round = 0; round < 7; round++) times.push(await timed(ours, `${gantry} scan --db ${list} ${IMAGE}`));
  const values = { gantry: median(times.slice(1)) };
  record({ name: 'scan of a Debian image of 150 MB and more', unit: 'ms', values, ours: 'gantry', limit: 3000 });
} finally {
  await timed(ours, `${gantry} rmi -f ${IMAGE}`, { ignoreFailure: true });
  rmSync(directory, { recursive: true, force: true });
}
