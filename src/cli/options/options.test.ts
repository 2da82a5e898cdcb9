import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { effectiveCapabilities } from './capabilities.ts';
import { parseCsv } from './csv.ts';
import { checkLabel, readEnvironment, readLabels } from './environment.ts';
import { ipamConfigs } from './ipam.ts';
import { parseMount, parseVolume } from './mount.ts';
import { parseNetwork } from './network.ts';
import { parsePorts, parsePublish } from './ports.ts';
import { parseGpus, parseUlimit } from './resource.ts';
import { parseMoment } from './time.ts';

test('published ports', () => {
  const one = (text: string): unknown =>
    parsePublish(text).map(({ port, binding }) => `${binding.HostIp}|${binding.HostPort}|${port}`);
  assert.deepEqual(one('80'), ['||80/tcp']);
  assert.deepEqual(one('8080:80/udp'), ['|8080|80/udp']);
  assert.deepEqual(one('127.0.0.1::80'), ['127.0.0.1||80/tcp']);
  assert.deepEqual(one('[::1]:8080:80'), ['::1|8080|80/tcp']);
  assert.deepEqual(one('9000-9001:90-91'), ['|9000|90/tcp', '|9001|91/tcp']);
  assert.deepEqual(one('8000-8010:80'), ['|8000-8010|80/tcp']);
  for (const [text, message] of [
    ['', 'no port specified: <empty>'],
    ['8080:', 'no port specified: 8080:<empty>'],
    ['abc', 'invalid containerPort: abc'],
    ['x:80', 'invalid hostPort: x'],
    ['70000:80', 'invalid hostPort: 70000'],
    ['1.2.3:80:80', 'invalid IP address: 1.2.3'],
    ['80:80/foo', 'invalid proto: foo'],
    ['80-81:90-92', 'invalid ranges specified for container and host Ports: 90-92 and 80-81'],
  ] as const) {
    assert.throws(() => parsePublish(text), { message });
  }
  assert.deepEqual(Object.keys(parsePorts([], ['1-3', '5/udp']).exposed), ['1/tcp', '2/tcp', '3/tcp', '5/udp']);
});

test('mounts', () => {
  assert.deepEqual(parseMount('type=bind,"source=/a,b",target=/c,ro'), {
    Type: 'bind',
    Source: '/a,b',
    Target: '/c',
    ReadOnly: true,
  });
  assert.deepEqual(parseMount('TYPE=TMPFS,dst=/t,tmpfs-mode=1777'), {
    Type: 'tmpfs',
    Target: '/t',
    TmpfsOptions: { Mode: 0o1777 },
  });
  assert.deepEqual(parseMount('dst=/v,volume-label=__proto__=x').VolumeOptions?.Labels?.['a'], undefined);
  for (const [text, message] of [
    ['type=bind', 'target is required'],
    ['type=bind,target=/x,foo=1', "unexpected key 'foo' in 'foo=1'"],
    ['type=bind,target', "invalid field 'target' must be a key=value pair"],
    ['type=tmpfs,dst=/x,bind-propagation=shared', "cannot mix 'bind-*' options with mount type 'tmpfs'"],
    ['dst=/x,tmpfs-size=x,type=tmpfs', 'invalid value for tmpfs-size: x'],
    [
      'type=bind,dst=/x,bind-recursive=readonly',
      "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
    ],
  ] as const) {
    assert.throws(() => parseMount(text), { message });
  }
  assert.deepEqual(parseVolume('/only'), { anonymous: '/only' });
  assert.deepEqual(parseVolume('./x:/y'), { bind: `${process.cwd()}/x:/y` });
  assert.deepEqual(parseVolume('name:/y:ro'), { bind: 'name:/y:ro' });
  for (const gap of [':/x', '/x:', '/x:/y:', ':'])
    assert.throws(() => parseVolume(gap), { message: `invalid spec: ${gap}: empty section between colons` });
});

test('checkLabel() refuses labels that nobody could ask for', () => {
  for (const label of ['a', 'a=', 'a.b=c d']) assert.equal(checkLabel(label), label);
  assert.throws(() => checkLabel('=x'), { message: "invalid label '=x': empty name" });
  assert.throws(() => checkLabel(''), { message: "invalid label '': empty name" });
  assert.throws(() => checkLabel('a b=c'), { message: "label 'a b' contains whitespaces" });
});

test('environment and labels from files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-env-'));
  try {
    const file = join(folder, 'env');
    writeFileSync(file, '# comment\n\n  A=1\nB= two \nOWN\nMISSING\n');
    assert.deepEqual(readEnvironment([file], ['C=3', 'OWN', 'MISSING'], { OWN: 'o' }), [
      'A=1',
      'B= two ',
      'OWN=o',
      'C=3',
      'OWN=o',
      'MISSING',
    ]);
    assert.deepEqual(
      { ...readLabels([], ['a=b', 'c', '__proto__=d']) },
      Object.fromEntries([
        ['a', 'b'],
        ['c', ''],
        ['__proto__', 'd'],
      ]),
    );
    writeFileSync(file, 'two words=1\n');
    assert.throws(() => readEnvironment([file], [], {}), /contains whitespaces/);
    writeFileSync(file, Buffer.from([0x41, 0x3d, 0xff]));
    assert.throws(() => readEnvironment([file], [], {}), /invalid utf8/);
    assert.throws(() => readEnvironment([join(folder, 'none')], [], {}), {
      message: `open ${join(folder, 'none')}: no such file or directory`,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('networks', () => {
  assert.equal(parseNetwork('foo').target, 'foo');
  assert.deepEqual(parseNetwork('name=foo,alias=a,alias=b,ip6=fd00::1').aliases, ['a', 'b']);
  assert.throws(() => parseNetwork('alias=b'), { message: 'network name/id is not specified' });
  assert.throws(() => parseNetwork('name=a,ip=1.2'), /not correctly formatted/);
  assert.deepEqual(
    ipamConfigs({
      subnets: ['10.0.0.0/8', 'fd00::/64'],
      ranges: ['10.1.0.0/16'],
      gateways: ['fd00::1'],
      auxiliary: new Map([['a', '10.0.0.9']]),
    }),
    [
      { Subnet: '10.0.0.0/8', IPRange: '10.1.0.0/16', AuxiliaryAddresses: { a: '10.0.0.9' } },
      { Subnet: 'fd00::/64', Gateway: 'fd00::1' },
    ],
  );
  assert.throws(
    () => ipamConfigs({ subnets: ['10.0.0.0/8', '10.1.0.0/16'], ranges: [], gateways: [], auxiliary: new Map() }),
    /overlapping/,
  );
  assert.throws(
    () => ipamConfigs({ subnets: ['10.0.0.0/8'], ranges: [], gateways: ['11.0.0.1'], auxiliary: new Map() }),
    { message: 'no matching subnet for gateway 11.0.0.1' },
  );
});

test('limits and devices', () => {
  assert.deepEqual(parseUlimit('nofile=1:2'), { Name: 'nofile', Soft: 1, Hard: 2 });
  assert.deepEqual(parseUlimit('core=-1'), { Name: 'core', Soft: -1, Hard: -1 });
  assert.throws(() => parseUlimit('nofile=3:2'), {
    message: 'ulimit soft limit must be less than or equal to hard limit: 3 > 2',
  });
  assert.deepEqual(parseGpus('"device=0,2",capabilities=utility'), {
    DeviceIDs: ['0', '2'],
    Capabilities: [['utility', 'gpu']],
  });
  assert.deepEqual(effectiveCapabilities(['net_admin', 'CAP_NET_ADMIN', 'all'], ['chown', 'NET_ADMIN']), {
    add: ['ALL', 'CAP_NET_ADMIN'],
    drop: ['CAP_CHOWN'],
  });
});

test('moments', () => {
  const now = Date.parse('2026-01-02T03:04:05Z');
  assert.equal(parseMoment('90s', now), `${now / 1000 - 90}.000000000`);
  assert.equal(parseMoment('2026-01-02T03:04:05.5Z'), `${now / 1000}.500000000`);
  assert.equal(parseMoment('1700000000.25'), '1700000000.25');
  assert.throws(() => parseMoment('yesterday'), /failed to parse value as time or duration/);
});

test('csv', () => {
  assert.deepEqual(parseCsv('a,"b,""c""",'), ['a', 'b,"c"', '']);
  assert.throws(() => parseCsv('a"b'), /bare " in non-quoted field/);
  assert.throws(() => parseCsv('"a'), /extraneous or missing/);
});
