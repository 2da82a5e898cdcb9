import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { InstalledPackage, OperatingSystem } from '../../api/inventory.ts';
import { cvssScore, severityOfScore } from './cvss.ts';
import { NpmAdvisoryService } from './npm-service.ts';
import { OsvDatabase, type OsvRecord } from './osv.ts';
import { readDatabase } from './read-database.ts';

const debian: OperatingSystem = { id: 'debian', version: '12', name: 'Debian 12', codename: 'bookworm' };
const npm = (name: string, version: string): InstalledPackage => ({ type: 'npm', name, version, path: '/x' });
const libc: InstalledPackage = {
  type: 'deb',
  name: 'libc6',
  version: '2.36-9+deb12u1',
  source: { name: 'glibc', version: '2.36-9+deb12u1' },
  path: '/var/lib/dpkg/status',
};

const lodash: OsvRecord = {
  id: 'GHSA-1',
  aliases: ['CVE-2021-23337'],
  summary: 'Command injection',
  severity: [{ type: 'CVSS_V3', score: 'CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H' }],
  affected: [
    {
      package: { ecosystem: 'npm', name: 'lodash' },
      ranges: [
        {
          type: 'SEMVER',
          events: [{ introduced: '0' }, { fixed: '4.17.21' }, { introduced: '5.0.0' }, { fixed: '5.0.2' }],
        },
      ],
    },
  ],
};

test('OSV: ranges, several of them, and the first version without it', async () => {
  const database = new OsvDatabase([lodash], undefined);
  const [finding] = await database.find([npm('lodash', '4.17.20')]);
  assert.equal(finding?.id, 'CVE-2021-23337');
  assert.equal(finding.fixed, '4.17.21');
  assert.equal(finding.severity, 'high');
  assert.deepEqual(finding.aliases, ['GHSA-1']);
  assert.equal((await database.find([npm('lodash', '5.0.1')]))[0]?.fixed, '5.0.2');
  for (const version of ['4.17.21', '4.18.0', '5.0.2', '6.0.0']) {
    assert.deepEqual(await database.find([npm('lodash', version)]), [], version);
  }
  assert.deepEqual(await database.find([npm('constructor', '1.0.0')]), []);
  assert.equal(database.covers(npm('other', '1.0.0')), true);
  assert.equal(database.covers(libc), false);
});

test("OSV: a distribution's packages by their source and release; last_affected; withdrawn records", async () => {
  const record = (release: string): OsvRecord => ({
    id: `DEBIAN-${release}`,
    affected: [
      {
        package: { ecosystem: `Debian:${release}`, name: 'glibc' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { last_affected: '2.36-9+deb12u1' }] }],
      },
    ],
  });
  const database = new OsvDatabase([record('11'), record('12'), { ...lodash, withdrawn: '2024-01-01' }], debian);
  assert.deepEqual(
    (await database.find([libc, npm('lodash', '1.0.0')])).map(({ id }) => id),
    ['DEBIAN-12'],
  );
  const newer = { ...libc, source: { name: 'glibc', version: '2.36-9+deb12u2' } };
  assert.deepEqual(await database.find([newer]), []);
});

test('files: a directory, a gzipped list, lines, the tracker; nonsense is refused', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-advisories-'));
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  try {
    mkdirSync(join(directory, 'osv'));
    file('osv/GHSA-1.json', JSON.stringify(lodash));
    const tracker = {
      glibc: {
        'CVE-1': {
          description: 'x',
          releases: { bookworm: { status: 'resolved', fixed_version: '2.36-9+deb12u3', urgency: 'medium' } },
        },
        'CVE-2': { releases: { bookworm: { status: 'open', urgency: 'unimportant' }, sid: { status: 'open' } } },
        'CVE-3': { releases: { bookworm: { status: 'resolved', fixed_version: '2.36-9' } } },
        'CVE-4': { releases: { bookworm: { status: 'resolved', fixed_version: '0' } } },
      },
    };
    const paths = [
      join(directory, 'osv'),
      file('list.json.gz', gzipSync(JSON.stringify([lodash]))),
      file('lines.jsonl', `${JSON.stringify(lodash)}\n${JSON.stringify({ ...lodash, id: 'GHSA-2', aliases: [] })}\n`),
      file('one.json', JSON.stringify(lodash, null, 2)),
    ];
    const counts = await Promise.all(
      paths.map(async (path) => (await readDatabase(path, undefined).find([npm('lodash', '4.0.0')])).length),
    );
    assert.deepEqual(counts, [1, 1, 2, 1]);
    const found = await readDatabase(file('tracker.json', JSON.stringify(tracker)), debian).find([libc]);
    assert.deepEqual(
      found.map(({ id, severity, fixed }) => [id, severity, fixed]),
      [
        ['CVE-1', 'medium', '2.36-9+deb12u3'],
        ['CVE-2', 'negligible', undefined],
      ],
    );
    for (const text of ['', 'hello', '{"a":1}', '[1,']) {
      assert.throws(() => readDatabase(file('bad', text), debian), { code: 'invalid-argument' }, text);
    }
    assert.throws(() => readDatabase(join(directory, 'absent'), debian), {
      code: 'invalid-argument',
      message: /absent/,
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("npm's service is asked once, and a failure is a clear error", async () => {
  const asked: unknown[] = [];
  let status = 200;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      asked.push([request.url, JSON.parse(body)]);
      answer(response);
    });
  });
  const answer = (response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        a: [
          {
            id: 1,
            url: 'https://x/advisories/GHSA-aa-bb',
            title: 'T',
            severity: 'moderate',
            vulnerable_versions: '>=1.0.0 <1.2.0',
          },
        ],
      }),
    );
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const service = new NpmAdvisoryService(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const found = await service.find([npm('a', '1.1.0'), npm('a', '1.2.0'), npm('__proto__', '1.0.0'), libc]);
    assert.deepEqual(
      found.map(({ id, severity, fixed, package: of }) => [id, severity, fixed, of.version]),
      [['GHSA-aa-bb', 'medium', '1.2.0', '1.1.0']],
    );
    assert.equal(
      JSON.stringify(asked),
      '[["/-/npm/v1/security/advisories/bulk",{"a":["1.1.0","1.2.0"],"__proto__":["1.0.0"]}]]',
    );
    status = 405;
    await assert.rejects(service.find([npm('a', '1.1.0')]), { code: 'unavailable', message: /405/ });
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test('CVSS 3.1: scores of published vectors', () => {
  const scores: Readonly<Record<string, number | undefined>> = {
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H': 9.8,
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H': 10,
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N': 6.1,
    'CVSS:3.0/AV:L/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H': 7,
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N': 0,
    'CVSS:4.0/AV:N': undefined,
    'CVSS:3.1/AV:X': undefined,
  };
  for (const [vector, score] of Object.entries(scores)) assert.equal(cvssScore(vector), score, vector);
  assert.deepEqual([0, 0.1, 4, 7, 9].map(severityOfScore), ['negligible', 'low', 'medium', 'high', 'critical']);
});
