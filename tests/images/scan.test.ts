/** `gantry sbom` and `gantry scan` on a real image: what the layers hide is not told, and an archive says the same as the engine. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Inventory } from '../../src/api/inventory.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-scan-'));
const daemon = new DaemonProcess({ directory });
const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });

before(async () => {
  await daemon.start();
  const context = join(directory, 'context');
  mkdirSync(context);
  writeFileSync(
    join(context, 'Dockerfile'),
    `FROM busybox
WORKDIR /app
RUN for p in kept gone hidden; do mkdir -p node_modules/$p; echo "{\\"name\\":\\"$p\\",\\"version\\":\\"1.0.0\\",\\"license\\":\\"MIT\\"}" > node_modules/$p/package.json; done
RUN rm -r node_modules/gone && rm -r node_modules/hidden && mkdir node_modules/hidden
RUN ln -s /etc node_modules/link && ln -s /proc/self/environ node_modules/kept/evil.jar
`,
  );
  const built = await gantry('build', '-t', 'scanned', context);
  assert.equal(built.code, 0, built.stderr);
});

after(async () => {
  await daemon.stop();
  await nothingLeft(daemon);
});

test('the packages of an image, by the engine and out of its archive', async () => {
  const { stdout } = await gantry('sbom', '--format', 'json', 'scanned');
  const { packages } = JSON.parse(stdout) as Inventory;
  assert.deepEqual(packages, [
    { type: 'npm', name: 'kept', version: '1.0.0', license: 'MIT', path: '/app/node_modules/kept/package.json' },
  ]);
  const archive = join(directory, 'scanned.tar');
  assert.equal((await gantry('save', '-o', archive, 'scanned')).code, 0);
  assert.equal((await gantry('sbom', '--format', 'json', '-i', archive)).stdout, stdout);
});

test('documents', async () => {
  const spdx = JSON.parse((await gantry('sbom', '--format', 'spdx', 'scanned')).stdout);
  assert.equal(spdx.packages[1].externalRefs[0].referenceLocator, 'pkg:npm/kept@1.0.0');
  assert.equal(spdx.packages[1].licenseDeclared, 'MIT');
  assert.equal(spdx.relationships.length, 2);
  const cyclone = JSON.parse((await gantry('sbom', '--format', 'cyclonedx', 'scanned')).stdout);
  assert.equal(cyclone.components[0].purl, 'pkg:npm/kept@1.0.0');
  const wrong = await gantry('sbom', '--format', 'xml', 'scanned');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /no format "xml"/);
});

test('findings, what was not checked, and exit codes', async () => {
  const database = join(directory, 'osv.json');
  const affected = [
    {
      package: { ecosystem: 'npm', name: 'kept' },
      ranges: [{ type: 'SEMVER', events: [{ introduced: '0' }, { fixed: '1.0.1' }] }],
    },
  ];
  writeFileSync(
    database,
    JSON.stringify({ id: 'GHSA-x', summary: 'Bad', database_specific: { severity: 'HIGH' }, affected }),
  );
  const found = await gantry('scan', '--db', database, '--fail-on', 'high', 'scanned');
  assert.equal(found.code, 1);
  assert.match(found.stdout, /^GHSA-x +high +kept +1\.0\.0 +1\.0\.1 +Bad$/m);
  assert.match(found.stderr, /Found: 1 high/);
  assert.equal((await gantry('scan', '--db', database, '--fail-on', 'critical', 'scanned')).code, 0);
  assert.equal((await gantry('scan', '--db', database, '--fail-on', 'low', '--ignore', 'GHSA-x', 'scanned')).code, 0);
  const blind = await gantry('scan', '--fail-on', 'low', 'scanned');
  assert.equal(blind.code, 2, 'nothing was checked: no all-clear');
  assert.match(blind.stderr, /Not checked, for want of advisories: 1 npm/);
  const absent = await gantry('scan', '--db', join(directory, 'none'), 'scanned');
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /none/);
});
