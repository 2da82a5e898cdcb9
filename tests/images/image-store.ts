import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Progress } from '../../src/base/operation.ts';
import { FileContentStore } from '../../src/content/file-content-store.ts';
import { Collector } from '../../src/engine/gc.ts';
import { Images } from '../../src/engine/images/images.ts';
import type { ImageParts, ImageUser } from '../../src/engine/images/parts.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { OverlaySnapshotter } from '../../src/snapshot/overlay-snapshotter.ts';
import { Database } from '../../src/state/database.ts';
import { ImageStore } from '../../src/state/images.ts';
import { LayerStore } from '../../src/state/layers.ts';
import { Leases } from '../../src/state/leases.ts';

/** Images on a private data root, without the rest of an engine. */
export class TestImages implements AsyncDisposable {
  readonly root: string;
  readonly parts: ImageParts;
  readonly images: Images;
  /** What the images say they are used by. */
  readonly users: ImageUser[] = [];
  /** `tag busybox:latest`, … */
  readonly events: string[] = [];
  readonly #snapshotter: OverlaySnapshotter;

  private constructor(
    root: string,
    parts: Omit<ImageParts, 'collector' | 'publish' | 'containers'>,
    snapshotter: OverlaySnapshotter,
  ) {
    this.root = root;
    this.#snapshotter = snapshotter;
    this.parts = {
      ...parts,
      collector: new Collector(parts),
      publish: (action, _id, attributes) => void this.events.push(`${action} ${attributes['name'] ?? ''}`),
      containers: () => this.users,
    };
    this.images = new Images(this.parts);
  }

  /** Opens `root` as an engine would after a crash; a new one without it. */
  static async open(root?: string): Promise<TestImages> {
    const at = root ?? (await mkdtemp(join(tmpdir(), 'gantry-images-')));
    await mkdir(join(at, 'tmp'), { recursive: true });
    const db = Database.open(join(at, 'state.db'));
    const snapshotter = await OverlaySnapshotter.open(join(at, 'snapshots'), db);
    const test = new TestImages(
      at,
      {
        db,
        images: new ImageStore(db),
        layers: new LayerStore(db),
        leases: new Leases(),
        content: await FileContentStore.open(at),
        snapshotter,
        registry: undefined,
        platform: hostPlatform(),
        temporary: join(at, 'tmp'),
      },
      snapshotter,
    );
    await test.parts.collector.collectActive(() => false);
    await test.parts.collector.collectAll();
    return test;
  }

  /** Lines of progress that a client would print. */
  readonly said: string[] = [];
  readonly onProgress = (event: Progress): void => void this.said.push(event.stream?.trimEnd() ?? event.status);

  /** Blobs, snapshots and layers there are; all empty where nothing was left. */
  async contents(): Promise<{ blobs: string[]; snapshots: string[]; layers: string[] }> {
    return {
      blobs: (await Array.fromAsync(this.parts.content.list())).map((blob) => blob.digest).sort(),
      snapshots: this.#snapshotter
        .list()
        .map((snapshot) => snapshot.name)
        .sort(),
      layers: this.parts.layers
        .list()
        .map((layer) => layer.diffId)
        .sort(),
    };
  }

  async close(): Promise<void> {
    await this.#snapshotter.close();
    this.parts.db.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await rm(this.root, { recursive: true });
  }
}

export const NOTHING = { blobs: [], snapshots: [], layers: [] };
