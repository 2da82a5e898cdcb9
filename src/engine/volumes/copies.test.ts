import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { Bytes } from '../../content/content-store.ts';
import { readMounts } from '../../linux/mountinfo.ts';
import { type ContainerRecord, ContainerStore, NEVER_RUN } from '../../state/containers.ts';
import { Database } from '../../state/database.ts';
import { ANONYMOUS_LABEL, VolumeStore } from '../../state/volumes.ts';
import { LocalDriver } from '../../volume/local-driver.ts';
import { snapshotName } from './copies.ts';
import { RunMounts } from './run-mounts.ts';
import { Volumes } from './volumes.ts';

const asRoot = { skip: process.getuid?.() !== 0 && 'needs root' };
let base: string;
let db: Database;
let store: VolumeStore;
let containers: ContainerStore;
let volumes: Volumes;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'copies-'));
  db = Database.open(join(base, 'state.db'));
  open();
});

afterEach(() => {
  db.close();
  assert.deepEqual(
    readMounts().filter((mount) => mount.mountPoint.startsWith(base)),
    [],
  );
  rmSync(base, { recursive: true, force: true });
});

/** A new engine on the same database. */
function open(): void {
  containers = new ContainerStore(db);
  store = new VolumeStore(db);
  volumes = new Volumes({
    store,
    containers,
    driver: new LocalDriver(join(base, 'volumes')),
    runMounts: new RunMounts(join(base, 'exec/mounts')),
    events: { publish: () => undefined },
    usage: async () => 0,
  });
}

const path = (name: string, file = ''): string => join(base, 'volumes', name, '_data', file);
const names = async (): Promise<string[]> => (await volumes.list()).Volumes.map(({ Name }) => Name);

function addContainer(id: string, volume: string, status: 'running' | 'exited', RW = true): void {
  const point = {
    Type: 'volume',
    Name: volume,
    Source: path(volume),
    Destination: '/v',
    Mode: '',
    RW,
    Propagation: '',
  };
  containers.insert({
    id,
    name: id,
    config: {},
    hostConfig: {},
    mounts: [{ point, anonymous: false }],
    state: { ...NEVER_RUN, status },
  } as unknown as ContainerRecord);
}

async function bytesOf(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

async function* once(bytes: Uint8Array): Bytes {
  yield Uint8Array.from(bytes);
}

async function filled(name: string): Promise<void> {
  await volumes.create({ Name: name });
  writeFileSync(path(name, 'file'), 'content', { mode: 0o640 });
  linkSync(path(name, 'file'), path(name, 'same'));
  writeFileSync(path(name, '.wh.kept'), '');
  chmodSync(path(name), 0o751);
}

test('a clone has the files, and says where they are from', async () => {
  await filled('data');
  const clone = await volumes.clone('data', { Name: 'copy', Labels: { a: 'b' } });
  assert.deepEqual(clone.Labels, { a: 'b', 'gantry.volume.source': 'data' });
  assert.deepEqual(readdirSync(path('copy')), ['.wh.kept', 'file', 'same']);
  assert.equal(statSync(path('copy', 'file')).ino, statSync(path('copy', 'same')).ino);
  assert.equal(statSync(path('copy')).mode & 0o777, 0o751);
  writeFileSync(path('copy', 'file'), 'changed');
  assert.equal(readFileSync(path('data', 'file'), 'utf8'), 'content');
  await assert.rejects(volumes.clone('data', { Name: 'copy' }), { code: 'conflict' });
  await assert.rejects(volumes.clone('data', { Name: '../x' }), { code: 'invalid-argument' });
  await assert.rejects(volumes.clone('none', { Name: 'other' }), { code: 'not-found' });
  assert.equal(snapshotName('data', new Date('2026-11-23T19:05:07.9Z')), 'data-20261123-190507');
  assert.match((await volumes.snapshot('data')).Name, /^data-\d{8}-\d{6}$/);
});

test('what a running container writes into is copied only when that is asked for', async () => {
  await filled('data');
  addContainer('reader', 'data', 'running', false);
  addContainer('stopped', 'data', 'exited');
  await volumes.clone('data', { Name: 'one' });
  addContainer('writer', 'data', 'running');
  await assert.rejects(volumes.clone('data', { Name: 'two' }), /container writer runs and may write into data/);
  await volumes.clone('data', { Name: 'two', Live: true });
  assert.deepEqual(await names(), ['data', 'one', 'two']);
});

test('a failed clone leaves nothing, and one that a crash cut off goes at the next start', async () => {
  await filled('data');
  const abort = AbortSignal.abort();
  await assert.rejects(volumes.clone('data', { Name: 'copy' }, { signal: abort }));
  assert.deepEqual(readdirSync(join(base, 'volumes')), ['data']);
  await store.insert({ ...store.get('data')!, id: 'half', name: 'half', filling: true });
  mkdirSync(path('half'), { recursive: true });
  writeFileSync(path('half', 'some'), '');
  open();
  assert.deepEqual(await names(), ['data']);
  await assert.rejects(volumes.inspect('half'), { code: 'not-found' });
  await volumes.recover();
  assert.deepEqual(readdirSync(join(base, 'volumes')), ['data']);
  assert.deepEqual(readdirSync(path('data')), ['.wh.kept', 'file', 'same']);
});

test('export and import give the same files; an import is whole or not there', async () => {
  await filled('data');
  const tar = await bytesOf(await volumes.export('data'));
  await volumes.import('new', once(tar));
  await volumes.create({ Name: 'empty' });
  await volumes.import('empty', once(tar));
  for (const name of ['new', 'empty']) {
    assert.deepEqual(readdirSync(path(name)), ['.wh.kept', 'file', 'same']);
    assert.equal(statSync(path(name, 'file')).mode & 0o777, 0o640);
    assert.deepEqual(await bytesOf(await volumes.export(name)), tar);
  }
  await assert.rejects(volumes.import('new', once(tar)), { code: 'conflict', message: /has files/ });
  await assert.rejects(volumes.import('bad', once(tar.subarray(0, tar.length - 2000))), { code: 'corrupt' });
  await volumes.create({ Name: 'still-empty' });
  await assert.rejects(volumes.import('still-empty', once(Buffer.alloc(3000, 'x'))), { code: 'corrupt' });
  assert.deepEqual(readdirSync(join(base, 'volumes', 'still-empty')), ['_data']);
  assert.deepEqual(readdirSync(path('still-empty')), []);
  assert.deepEqual(await names(), ['data', 'empty', 'new', 'still-empty']);
});

test('while a volume is read it stays; a reader who gives up lets it go', async () => {
  await filled('data');
  const bytes = (await volumes.export('data'))[Symbol.asyncIterator]();
  await bytes.next();
  await assert.rejects(volumes.remove('data'), /volume is in use/);
  await bytes.return?.();
  await new Promise((resolve) => setImmediate(resolve));
  await volumes.remove('data');
});

test('rename: names, files, and what refuses it', async () => {
  await filled('data');
  await volumes.create({ Name: 'taken' });
  await assert.rejects(volumes.rename('data', 'taken'), { code: 'conflict' });
  await assert.rejects(volumes.rename('data', 'data'), { code: 'conflict' });
  await assert.rejects(volumes.rename('data', 'a/b'), { code: 'invalid-argument' });
  await assert.rejects(volumes.rename('none', 'other'), { code: 'not-found' });
  addContainer('c', 'data', 'exited');
  await assert.rejects(volumes.rename('data', 'other'), { code: 'conflict', message: /in use - \[c\]/ });
  containers.remove(containers.get('c')!);
  mkdirSync(join(base, 'volumes', 'stray'));
  await assert.rejects(volumes.rename('data', 'stray'), /is in the way/);
  assert.equal((await volumes.rename('data', 'other')).Mountpoint, path('other'));
  assert.deepEqual(await names(), ['other', 'taken']);
  assert.equal(readFileSync(path('other', 'file'), 'utf8'), 'content');
  assert.equal(existsSync(join(base, 'volumes', 'data')), false);
  const { Name } = await volumes.create({});
  assert.equal(Object.hasOwn((await volumes.rename(Name, 'named')).Labels ?? {}, ANONYMOUS_LABEL), false);
});

test('a rename that a crash cut off is finished by the next start, wherever it was', async () => {
  for (const moved of [false, true]) {
    await filled('data');
    await store.update({ ...store.get('data')!, renamingTo: 'other' });
    if (moved) renameSync(join(base, 'volumes', 'data'), join(base, 'volumes', 'other'));
    open();
    await volumes.recover();
    assert.deepEqual(await names(), ['other']);
    assert.equal(readFileSync(path('other', 'file'), 'utf8'), 'content');
    open();
    assert.deepEqual(await names(), ['other']);
    await volumes.remove('other');
  }
});

test('volumes with options are copied from what they mount', asRoot, async () => {
  const source = join(base, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'f'), 'host');
  await volumes.create({ Name: 'bound', DriverOpts: { type: 'none', o: 'bind', device: source } });
  await volumes.clone('bound', { Name: 'copy' });
  assert.equal(readFileSync(path('copy', 'f'), 'utf8'), 'host');
  await volumes.create({ Name: 'memory', DriverOpts: { type: 'tmpfs', device: 'tmpfs' } });
  await assert.rejects(volumes.clone('memory', { Name: 'other' }), /is a tmpfs/);
  await volumes.remove('bound');
  assert.equal(readFileSync(join(source, 'f'), 'utf8'), 'host');
});
