import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseCommandLine } from './command-line.ts';
import { type DaemonConfig, loadConfig } from './config.ts';
import { parseHost } from './listen-address.ts';

const directory = await mkdtemp(join(tmpdir(), 'gantry-config-'));
const file = join(directory, 'daemon.json');
test.after(() => rm(directory, { recursive: true, force: true }));

async function load(json: string, ...args: string[]): Promise<DaemonConfig> {
  await writeFile(file, json);
  return loadConfig(parseCommandLine(['--config-file', file, ...args]));
}

function words(line: string): string[] {
  return line.split(' ');
}

test('flags and file make one configuration', async () => {
  const config = await load(
    '{"labels":["a=b"],"log-opts":{"max-size":"5m"},"default-ulimits":{"nofile":{"Name":"nofile","Hard":9,"Soft":8}}}',
    ...words('--data-root=/d --exec-root /e -H unix:///x.sock -H tcp://127.0.0.1:1'),
    ...words('--bridge b0 --bip 10.1.2.3/24 --mtu 1400 --icc=false --dns 1.1.1.1,9.9.9.9 -D --add-runtime x=/bin/x'),
    ...words('--default-address-pool base=10.5.0.0/16,size=24 --ip 127.0.0.1 --init=false'),
    ...words('--registry-min-rate 0 --registry-stall-timeout 5'),
  );
  assert.deepEqual(config.hosts, [
    { kind: 'unix', path: '/x.sock' },
    { kind: 'tcp', host: '127.0.0.1', port: 1 },
  ]);
  assert.equal(config.log.level, 'debug');
  assert.deepEqual(config.engine.bridge, { name: 'b0', cidr: '10.1.2.3/24', mtu: 1400, icc: false });
  assert.equal(config.engine.registryMinRate, 0);
  assert.equal(config.engine.registryStallMs, 5000);
  assert.deepEqual(config.engine.dns, ['1.1.1.1', '9.9.9.9']);
  assert.deepEqual(config.engine.labels, ['a=b']);
  assert.deepEqual({ ...config.engine.logOptions }, { 'max-size': '5m' });
  assert.deepEqual(config.engine.ulimits, [{ Name: 'nofile', Hard: 9, Soft: 8 }]);
  assert.deepEqual(config.engine.addressPools, [{ base: '10.5.0.0/16', size: 24 }]);
  assert.equal(config.engine.runtimes?.['x']?.path, '/bin/x');
  assert.equal(config.engine.publishAddress, '127.0.0.1');
  assert.equal(config.engine.init, false);
  assert.equal(config.engine.dataRoot, '/d');
  assert.equal(config.engine.execRoot, '/e');
  assert.equal(config.allowPlainTcp, false);
});

test('the default bridge and new networks, in dockerd’s words', async () => {
  const { engine } = await load(
    '{}',
    ...words('--ipv6 --fixed-cidr 10.1.2.128/25 --fixed-cidr-v6 fd00:7::/64 --ip-masq=false --allow-direct-routing'),
    ...words('--default-network-opt bridge=com.docker.network.driver.mtu=1400 --default-network-opt bridge=a=b=c'),
  );
  assert.deepEqual(engine.bridge, { masquerade: false, ipv6: true, range: '10.1.2.128/25', subnet6: 'fd00:7::/64' });
  assert.equal(engine.allowDirectRouting, true);
  assert.deepEqual(engine.networkOptions, { bridge: { 'com.docker.network.driver.mtu': '1400', a: 'b=c' } });
});

test('rules of the build cache: sizes, parts of the disk, filters in both spellings', async () => {
  const { engine } = await load(
    JSON.stringify({
      builder: {
        gc: {
          defaultReservedSpace: '20%',
          policy: [
            { filter: ['type==source.local,type=source.http', 'unused-for=48h'], keepStorage: '512MB' },
            { all: true, maxUsedSpace: '10%', minFreeSpace: '1GB' },
          ],
        },
      },
    }),
  );
  assert.deepEqual(engine.buildCache, {
    reserved: { percent: 20 },
    maxUsed: undefined,
    minFree: undefined,
    rules: [
      {
        all: false,
        filters: new Map([
          ['type', ['source.local', 'source.http']],
          ['unused-for', ['48h']],
        ]),
        reserved: 512 << 20,
        maxUsed: undefined,
        minFree: undefined,
      },
      { all: true, filters: new Map(), reserved: undefined, maxUsed: { percent: 10 }, minFree: 1 << 30 },
    ],
  });
  for (const [policy, message] of [
    [[{ filter: ['unused'] }], /invalid filter in builder\.gc\.policy: "unused"/],
    [[{ filter: ['colour=red'] }], /invalid filter 'colour'/],
    [[{ maxUsedSpace: 'much' }], /invalid size in builder\.gc: "much"/],
  ] as const)
    await assert.rejects(load(JSON.stringify({ builder: { gc: { policy } } })), { message });
});

test('what is wrong is said in Docker’s words', async (t) => {
  const cases: [string, string[], RegExp][] = [
    ['{"foo":1,"bar":2}', [], /with file .*: the following directives don't match any configuration option: foo, bar$/],
    [
      '{"debug":true,"labels":["a=b"]}',
      ['--debug', '--label', 'x=y'],
      /specified both as a flag and in the configuration file: debug: \(from flag: true, from file: true\), labels: \(from flag: \[x=y\], from file: \[a=b\]\)$/,
    ],
    [
      '{"debug":"x"}',
      [],
      /invalid JSON: json: cannot unmarshal string into Go struct field Config\.debug of type bool$/,
    ],
    ['{"debug":true', [], /invalid JSON: unexpected EOF$/],
    ['{}', ['--foo'], /^unknown flag: --foo$/],
    ['{}', ['foo'], /^unexpected argument: foo$/],
    ['{}', ['--label', 'x'], /^invalid argument "x" for "--label" flag: bad attribute format: x$/],
    ['{}', ['-H', 'foo://x'], /invalid bind address \(foo:\/\/x\): unsupported proto 'foo'$/],
    ['{}', ['--log-level', 'foo'], /^invalid logging level: foo$/],
    [
      '{}',
      ['--default-ulimit', 'foo'],
      /^invalid argument "foo" for "--default-ulimit" flag: invalid ulimit argument: foo$/,
    ],
    ['{}', ['--default-address-pool', 'foo'], /invalid field 'foo' must be a key=value pair$/],
    ['{}', ['--dns', 'foo'], /invalid string being converted to IP address: foo$/],
    ['{}', ['--add-runtime', 'foo'], /invalid runtime argument: foo$/],
    ['{}', ['--mtu', 'x'], /^invalid argument "x" for "--mtu" flag: strconv\.ParseInt: parsing "x": invalid syntax$/],
    ['{}', ['--tls=x'], /^invalid argument "x" for "--tls" flag: strconv\.ParseBool: parsing "x": invalid syntax$/],
    ['{"registry-min-rate":-1}', [], /invalid registry-min-rate -1/],
    ['{}', ['--registry-stall-timeout', '0'], /invalid registry-stall-timeout 0: it takes 1 to 86400 seconds/],
    ['{}', ['--shutdown-timeout'], /^flag needs an argument: --shutdown-timeout$/],
    ['{}', ['--log-driver', 'foo'], /plugin "foo" not found/],
    ['{}', ['--default-runtime', 'foo'], /foo is not among the runtimes/],
    ['{}', ['--bridge', 'none'], /bridge=none is not supported/],
    ['{}', ['--data-root', 'relative'], /must be an absolute path/],
  ];
  for (const [json, args, message] of cases) {
    await t.test(`${json} ${args.join(' ')}`, () => assert.rejects(load(json, ...args), { message }));
  }
});

test('hosts', () => {
  assert.deepEqual(parseHost('unix://'), { kind: 'unix', path: '/run/gantry/gantry.sock' });
  assert.deepEqual(parseHost('tcp://[::1]:2376'), { kind: 'tcp', host: '::1', port: 2376 });
  assert.deepEqual(parseHost('tcp://:5'), { kind: 'tcp', host: '127.0.0.1', port: 5 });
  assert.deepEqual(parseHost('0.0.0.0:5'), { kind: 'tcp', host: '0.0.0.0', port: 5 });
  assert.deepEqual(parseHost('fd://'), { kind: 'fd', name: '' });
  assert.throws(() => parseHost('tcp://x:99999'), /invalid bind address/);
});
