import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Digest, sha256 } from '../oci/digest.ts';
import { Database } from './database.ts';
import { ImageStore } from './images.ts';
import { LayerStore } from './layers.ts';
import { Leases } from './leases.ts';

const CONFIG = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } };

function insert(images: ImageStore, comment: string, parent?: Digest): Digest {
  const configText = JSON.stringify({ ...CONFIG, comment });
  const id = sha256(configText);
  const rest = { chain: undefined, size: 1, parent, manifest: undefined, addedAt: '2026-01-01T00:00:00Z' };
  images.insert({ id, configText, ...rest });
  return id;
}

function name(reference: string, image: Digest): Parameters<ImageStore['setReference']>[0] {
  return { reference, repository: reference.split(':')[0]!, image, target: undefined };
}

test('a name moves from image to image', () => {
  using db = Database.open(':memory:');
  const images = new ImageStore(db);
  const a = insert(images, 'a');
  const b = insert(images, 'b', a);
  assert.equal(images.setReference(name('docker.io/library/x:1', a), '2026-01-02T00:00:00Z'), undefined);
  assert.equal(images.setReference(name('docker.io/library/x:1', b), '2026-01-03T00:00:00Z'), a);
  assert.equal(images.reference('docker.io/library/x:1')?.image, b);
  assert.deepEqual(images.references(a), []);
  assert.equal(images.get(b)?.lastTaggedAt, '2026-01-03T00:00:00Z');
  assert.deepEqual(images.children(a), [b]);
  assert.throws(() => images.delete(b), /FOREIGN KEY/);
  images.deleteReference('docker.io/library/x:1');
  images.delete(b);
  assert.equal(images.get(b), undefined);
  assert.equal(images.size, 1);
});

test('ids are found by the beginning of their digits', () => {
  using db = Database.open(':memory:');
  const images = new ImageStore(db);
  const id = insert(images, 'a');
  const hex = id.slice('sha256:'.length);
  assert.deepEqual(images.idsWithPrefix(hex.slice(0, 3)), [id]);
  assert.deepEqual(images.idsWithPrefix(hex), [id]);
  assert.deepEqual(images.idsWithPrefix(''), []);
  assert.deepEqual(images.idsWithPrefix('%'), []);
});

test('a stored blob takes the place of a layer without one, not the other way round', async () => {
  using db = Database.open(':memory:');
  const layers = new LayerStore(db);
  const diffId = sha256('layer');
  const plain = { diffId, blob: { mediaType: 'tar', digest: diffId, size: 9 }, stored: false, size: 5 };
  const packed = { diffId, blob: { mediaType: 'tar+gzip', digest: sha256('gz'), size: 4 }, stored: true, size: 5 };
  layers.put(plain);
  layers.put(packed);
  assert.deepEqual(layers.get(diffId), packed);
  layers.put(plain);
  assert.deepEqual(layers.get(diffId), packed);
  assert.deepEqual(layers.withBlob(sha256('gz')), [packed]);
  await layers.delete([diffId]);
  assert.deepEqual(layers.list(), []);
});

test('what is leased is kept until the lease is released', () => {
  const leases = new Leases();
  {
    using lease = leases.acquire('load');
    lease.add('blob', 'x');
    using other = leases.acquire('pull');
    other.add('blob', 'x');
    other.add('snapshot', 'y');
    assert.deepEqual([...leases.names('blob')], ['x']);
    assert.ok(leases.has('snapshot', 'y'));
  }
  assert.equal(leases.has('blob', 'x'), false);
});
