import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Progress } from '../../src/base/operation.ts';
import type { Images } from '../../src/engine/images/images.ts';
import { type OpenedImages, openImages } from '../../src/engine/images/open.ts';
import type { ImageParts, ImageUser } from '../../src/engine/images/parts.ts';
import type { RegistryAccess } from '../../src/engine/images/registry-access.ts';
import { EngineRegistry } from '../../src/engine/registry/engine-registry.ts';
import { RegistryRoots } from '../../src/engine/registry/registry-roots.ts';
import { OverlaySnapshotter } from '../../src/snapshot/overlay-snapshotter.ts';
import { Database } from '../../src/state/database.ts';
import { ImageStore } from '../../src/state/images.ts';
import { RegistryRecords } from '../../src/state/registry-records.ts';

/** Images on a private data root, without the rest of an engine. */
export class TestImages implements AsyncDisposable {
  readonly root: string;
  readonly parts: ImageParts;
  readonly images: Images;
  /** What the images say they are used by. */
  readonly users: ImageUser[];
  /** `tag busybox:latest`, … */
  readonly events: string[];
  /** These images as a registry. */
  readonly registry: EngineRegistry;
  readonly #snapshotter: OverlaySnapshotter;

  private constructor(
    opened: OpenedImages,
    own: {
      root: string;
      users: ImageUser[];
      events: string[];
      snapshotter: OverlaySnapshotter;
      registry: EngineRegistry;
    },
  ) {
    this.parts = opened.parts;
    this.images = opened.images;
    this.root = own.root;
    this.users = own.users;
    this.events = own.events;
    this.#snapshotter = own.snapshotter;
    this.registry = own.registry;
  }

  /** Opens `root` as an engine would after a crash; a new one without it. */
  static async open(
    options: { root?: string; registry?: RegistryAccess; policyFile?: string } = {},
  ): Promise<TestImages> {
    const root = options.root ?? (await mkdtemp(join(tmpdir(), 'gantry-images-')));
    const db = Database.open(join(root, 'state.db'));
    const snapshotter = await OverlaySnapshotter.open(join(root, 'snapshots'), db);
    const users: ImageUser[] = [];
    const events: string[] = [];
    const roots = new RegistryRoots(new RegistryRecords(db), new ImageStore(db));
    const opened = await openImages({
      otherBlobs: () => roots.blobs(),
      root,
      db,
      snapshotter,
      temporary: join(root, 'tmp'),
      publish: (action, _id, attributes) => void events.push(`${action} ${attributes['name'] ?? ''}`),
      containers: () => users,
      registry: options.registry,
      policyFile: options.policyFile,
    });
    const registry = new EngineRegistry(opened.parts, roots, (message) => events.push(message));
    return new TestImages(opened, { root, users, events, snapshotter, registry });
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
