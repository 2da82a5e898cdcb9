import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { HostConfig } from '../../api/container.ts';
import { readMounts } from '../../linux/mountinfo.ts';
import { type ContainerRecord, ContainerStore, NEVER_RUN, type RunState } from '../../state/containers.ts';
import { Database } from '../../state/database.ts';
import { VolumeStore } from '../../state/volumes.ts';
import { LocalDriver } from '../../volume/local-driver.ts';
import { EngineContainerVolumes } from './container-volumes.ts';
import { MountedImages } from './mounted-images.ts';
import { RunMounts } from './run-mounts.ts';
import { Volumes } from './volumes.ts';

const asRoot = { skip: process.getuid?.() !== 0 && 'needs root' };
let base: string;
let rootfs: string;
let db: Database;
let containers: ContainerStore;
let volumes: Volumes;
let mounts: EngineContainerVolumes;
let events: string[];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'volumes-'));
  rootfs = join(base, 'rootfs');
  mkdirSync(join(rootfs, 'srv'), { recursive: true });
  writeFileSync(join(rootfs, 'srv/index'), 'from the image');
  db = Database.open(join(base, 'state.db'));
  open();
});

afterEach(() => {
  assert.deepEqual(
    readMounts().filter((mount) => mount.mountPoint.startsWith(base)),
    [],
    'nothing stays mounted',
  );
  db.close();
  rmSync(base, { recursive: true, force: true });
});

/** A new engine on the same database. */
function open(): void {
  containers = new ContainerStore(db);
  events = [];
  const store = new VolumeStore(db);
  const driver = new LocalDriver(join(base, 'volumes'));
  const publish = (type: string, action: string, id: string): void => void events.push(`${type} ${action} ${id}`);
  const runMounts = new RunMounts(join(base, 'exec/mounts'));
  volumes = new Volumes({ store, containers, driver, runMounts, events: { publish }, usage: async () => 5 });
  mounts = new EngineContainerVolumes({
    volumes,
    store,
    containers,
    driver,
    runMounts,
    images: { resolve: async () => assert.fail('no image is mounted here') },
    mountedImages: new MountedImages(containers),
    snapshots: { mounts: async () => assert.fail('no image is mounted here') },
    userOf: async () => ({ uid: 12, gid: 34 }),
    dataRoot: base,
    report: (message) => assert.fail(message),
  });
}

async function create(
  id: string,
  hostConfig: HostConfig,
  configVolumes: Record<string, Record<string, never>> = {},
): Promise<ContainerRecord> {
  const config = { Volumes: configVolumes };
  const planned = await mounts.plan({ id, config, hostConfig, image: undefined });
  const record = {
    id,
    name: `name-${id}`,
    createdAt: '',
    imageId: '',
    platform: { os: 'linux', architecture: 'amd64' },
    chain: undefined,
    config,
    hostConfig,
    mounts: planned,
    networks: {},
    attachment: undefined,
    state: NEVER_RUN,
    restartCount: 0,
    stoppedByHand: false,
  } satisfies ContainerRecord;
  containers.insert(record);
  return record;
}

function setStatus(record: ContainerRecord, status: RunState['status']): ContainerRecord {
  const changed = { ...record, state: { ...record.state, status } };
  containers.update(changed);
  return changed;
}

async function drop(record: ContainerRecord, anonymous: boolean): Promise<void> {
  await mounts.release(record, { anonymous });
  containers.remove(record);
}

const names = async (filters = new Map<string, string[]>()): Promise<string[]> =>
  (await volumes.list(filters)).Volumes.map((volume) => volume.Name);

test('create is idempotent by name, but not with other options', async () => {
  const first = await volumes.create({ Name: 'v1', Labels: { a: 'b' } });
  assert.deepEqual(first.Labels, { a: 'b' });
  assert.equal(first.Options, null);
  assert.match(first.CreatedAt!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.deepEqual(await volumes.create({ Name: 'v1' }), first);
  const options = { type: 'tmpfs', device: 'tmpfs' };
  await assert.rejects(volumes.create({ Name: 'v1', DriverOpts: options }), { code: 'conflict' });
  await volumes.create({ Name: 'v2', DriverOpts: options });
  await volumes.create({ Name: 'v2', DriverOpts: options });
  assert.deepEqual(events, ['volume create v1', 'volume create v2']);
});

test('what cannot be made, in Docker’s words', async () => {
  const refused: readonly (readonly [Parameters<Volumes['create']>[0], string])[] = [
    [{ Name: 'xx', Driver: 'foo' }, 'create xx: error looking up volume plugin foo: plugin "foo" not found'],
    [{ Name: 'xx', DriverOpts: { foo: '1' } }, 'create xx: invalid option: "foo"'],
    [{ Name: 'xx', DriverOpts: { type: 'tmpfs' } }, 'create xx: missing required option: "device"'],
    [{ Name: 'xx', DriverOpts: { size: '5' } }, 'create xx: quota size requested but no quota support'],
  ];
  for (const [request, message] of refused) await assert.rejects(volumes.create(request), { message });
  await assert.rejects(volumes.inspect('nope'), { code: 'not-found', message: 'get nope: no such volume' });
  await assert.rejects(volumes.remove('nope'), { code: 'not-found' });
  await volumes.remove('nope', { force: true });
  assert.deepEqual(await names(), []);
});

test('filters', async () => {
  await volumes.create({ Name: 'one', Labels: { a: 'b', ['__proto__']: 'x' } });
  await volumes.create({ Name: 'two' });
  await create('c1', { Binds: ['two:/x'] });
  assert.deepEqual(await names(new Map([['name', ['on']]])), ['one']);
  assert.deepEqual(await names(new Map([['label', ['a=b']]])), ['one']);
  assert.deepEqual(await names(new Map([['dangling', ['true']]])), ['one']);
  assert.deepEqual(await names(new Map([['dangling', ['0']]])), ['two']);
  assert.deepEqual(await names(new Map([['driver', ['nfs']]])), []);
  await assert.rejects(names(new Map([['foo', ['x']]])), { message: "invalid filter 'foo'" });
  await assert.rejects(names(new Map([['dangling', ['x']]])), { message: "invalid filter 'dangling=[x]'" });
});

test('in use by every container that has it', async () => {
  const record = await create('c1', { Binds: ['data:/x'] });
  await assert.rejects(volumes.remove('data', { force: true }), {
    code: 'conflict',
    message: 'remove data: volume is in use - [c1]',
  });
  await drop(record, true);
  await volumes.remove('data');
  assert.ok(!existsSync(join(base, 'volumes/data')));
  assert.deepEqual(events, ['volume create data', 'volume destroy data']);
});

test('a volume that nobody named goes with its container, if asked', async () => {
  const kept = await create('c1', {}, { '/a': {} });
  await drop(kept, false);
  const gone = await create('c2', { Mounts: [{ Type: 'volume', Target: '/b' }], Binds: ['named:/n'] });
  const name = gone.mounts.find((mount) => mount.anonymous)!.point.Name!;
  assert.equal((await volumes.inspect(name)).Labels?.['com.docker.volume.anonymous'], '');
  await drop(gone, true);
  assert.deepEqual(new Set(await names()), new Set([kept.mounts[0]!.point.Name, 'named']));
  assert.deepEqual((await volumes.prune(new Map())).VolumesDeleted, [kept.mounts[0]!.point.Name]);
  const all = await volumes.prune(new Map([['all', ['1']]]));
  assert.deepEqual(all, { VolumesDeleted: ['named'], SpaceReclaimed: 5 });
});

test('a create that fails leaves nothing', async () => {
  const fails = (hostConfig: HostConfig): Promise<unknown> =>
    mounts.plan({ id: 'c1', config: { Volumes: { '/': {} } }, hostConfig, image: undefined });
  await assert.rejects(fails({ Binds: ['new:/x'] }));
  assert.deepEqual(await names(), []);
  await assert.rejects(
    mounts.plan({ id: 'c', config: {}, hostConfig: { Binds: ['x1:/a', 'x2:/a/'] }, image: undefined }),
    {
      message: 'Duplicate mount point: /a',
    },
  );
  await assert.rejects(
    mounts.plan({
      id: 'c',
      config: {},
      hostConfig: { Mounts: [{ Type: 'bind', Source: '/no/such', Target: '/a' }] },
      image: undefined,
    }),
    { message: 'invalid mount config for type "bind": bind source path does not exist: /no/such' },
  );
  await assert.rejects(mounts.plan({ id: 'c', config: {}, hostConfig: { VolumesFrom: ['nope'] }, image: undefined }), {
    code: 'invalid-argument',
    message: 'No such container: nope',
  });
});

test('killed between plan and record: the volume goes at the next start; with a record it stays', async () => {
  await mounts.plan({
    id: 'lost',
    config: { Volumes: { '/a': {} } },
    hostConfig: { Binds: ['fresh:/x'] },
    image: undefined,
  });
  const record = await create('c1', { Binds: ['kept:/x'] });
  open();
  await volumes.recover();
  assert.deepEqual(await names(), ['kept']);
  assert.deepEqual(readdirSync(join(base, 'volumes')), ['kept']);
  await mounts.prepare(record, rootfs);
  containers.remove(containers.get('c1')!);
  open();
  await volumes.recover();
  assert.deepEqual(await names(), ['kept'], 'a run may have written into it');
});

test('an empty volume is filled at the first run only', asRoot, async () => {
  let record = await create('c1', { Binds: ['web:/srv', 'bare:/srv2:nocopy'] });
  const file = join(base, 'volumes/web/_data/index');
  const prepared = await mounts.prepare(record, rootfs);
  assert.equal(readFileSync(file, 'utf8'), 'from the image');
  assert.deepEqual(prepared.mounts[0], {
    type: 'bind',
    destination: '/srv',
    source: join(base, 'volumes/web/_data'),
    readOnly: false,
    recursive: true,
    readOnlyRecursion: 'best-effort',
    propagation: '',
  });
  record = setStatus(record, 'exited');
  rmSync(file);
  await mounts.prepare(record, rootfs);
  assert.ok(!existsSync(file));
});

test('--volumes-from takes binds and volumes, what is asked wins', async () => {
  await create('donor', { Binds: ['data:/d', '/tmp:/t:ro', 'other:/o'], Mounts: [{ Type: 'tmpfs', Target: '/m' }] });
  const taken = await create('taker', { VolumesFrom: ['name-donor:ro'], Binds: ['mine:/o'] });
  assert.deepEqual(
    taken.mounts.map(({ point }) => [point.Destination, point.Name, point.RW]),
    [
      ['/d', 'data', false],
      ['/t', undefined, false],
      ['/o', 'mine', true],
    ],
  );
  assert.deepEqual(volumes.usersOf('data').sort(), ['donor', 'taker']);
});

test('a volume with options is mounted while containers run', asRoot, async () => {
  await volumes.create({ Name: 'mem', DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,uid=5' } });
  const path = join(base, 'volumes/mem/_data');
  const mounted = (): boolean => readMounts().some((mount) => mount.mountPoint === path);
  let one = await create('c1', { Binds: ['mem:/x'] });
  const two = await create('c2', { Binds: ['mem:/x'] });
  await mounts.prepare(one, rootfs);
  one = setStatus(one, 'running');
  await mounts.prepare(two, rootfs);
  await mounts.unmount(two);
  assert.ok(mounted(), 'c1 still runs');
  open();
  mounts.recover();
  assert.ok(mounted(), 'c1 still runs');
  one = setStatus(one, 'exited');
  await mounts.unmount(one);
  assert.ok(!mounted());
  await volumes.create({ Name: 'bad', DriverOpts: { type: 'none', device: '/no/such', o: 'bind' } });
  const bad = await create('c3', { Binds: ['bad:/x'] });
  await assert.rejects(
    mounts.prepare(bad, rootfs),
    /failed to mount local volume: mount \/no\/such:.*: no such file or directory/,
  );
});

test('a part of a volume is held where it is', asRoot, async () => {
  await volumes.create({ Name: 'parts' });
  const data = join(base, 'volumes/parts/_data');
  mkdirSync(join(data, 'inner'));
  writeFileSync(join(data, 'inner/file'), 'here');
  const subpath = (Subpath: string): HostConfig => ({
    Mounts: [{ Type: 'volume', Source: 'parts', Target: '/x', VolumeOptions: { Subpath } }],
  });
  const record = await create('c1', subpath('inner'));
  const { mounts: prepared } = await mounts.prepare(record, rootfs);
  const { source } = prepared[0] as { source: string };
  assert.equal(readFileSync(join(source, 'file'), 'utf8'), 'here');
  await mounts.unmount(record);
  await mounts.unmount(record);
  const missing = await create('c2', subpath('nope'));
  await assert.rejects(mounts.prepare(missing, rootfs), /cannot access path .*nope: no such file or directory/);
  assert.deepEqual(readdirSync(join(base, 'exec/mounts')), []);
});

test('shared memory for others to join', asRoot, async () => {
  const donor = await create('donor', { IpcMode: 'shareable' });
  const joiner = await create('joiner', { IpcMode: 'container:donor' });
  await assert.rejects(mounts.prepare(joiner, rootfs), /non-shareable IPC/);
  const { shm } = await mounts.prepare(donor, rootfs);
  assert.equal((await mounts.prepare(joiner, rootfs)).shm, shm);
  setStatus(donor, 'exited');
  open();
  mounts.recover();
  assert.ok(!existsSync(shm!));
});

test('a missing source of -v is made', async () => {
  const source = join(base, 'new/dir');
  const record = await create('c1', { Binds: [`${source}:/x`] });
  assert.ok(!existsSync(source));
  await mounts.prepare(record, rootfs);
  assert.ok(existsSync(source));
});
