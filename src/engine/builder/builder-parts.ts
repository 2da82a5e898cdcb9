import type { AuthConfig } from '../../api/auth.ts';
import type { HostConfig } from '../../api/container.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { ChainId, Digest, DiffId } from '../../oci/digest.ts';
import type { LayerDigest } from '../../snapshot/diff-layer.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { BuildRecords } from '../../state/build-records.ts';
import type { ContainerIds } from '../../state/containers.ts';
import type { Lease } from '../../state/leases.ts';
import type { ResolvedImage } from '../containers/parts.ts';
import type { LayoutOptions } from '../images/layout.ts';
import type { attest } from './attest/attest.ts';
import type { WantedAttestations } from './attest/option.ts';
import type { BuildCache, CollectionRule } from './build-cache.ts';
import type { CacheMounts } from './cache-mounts.ts';
import type { ExportCachesOptions } from './cache-transfer/export-caches.ts';
import type { OpenImportsOptions } from './cache-transfer/open-imports.ts';
import type { CacheSource, CacheTarget } from './cache-transfer/option.ts';
import type { ClientFiles } from './client-files/client-files.ts';
import type { BuiltImage } from './outputs/built-image.ts';
import type { Delivered, DeliverOptions } from './outputs/deliver.ts';
import type { CacheableSteps, SolvedBuild } from './solved-build.ts';
import type { RemoteSources } from './sources/remote-sources.ts';
import type { UploadedContexts } from './uploads/uploaded-contexts.ts';
import type { CacheImport } from './step-cache.ts';
import type { StepExecutor } from './step-executor.ts';

/** What the builder needs of the other parts of the engine. */
export interface BuilderParts {
  readonly images: {
    /** Throws `not-found`. */
    resolve(reference: string, platform?: string): Promise<ResolvedImage>;
    pull(
      reference: string,
      options: OperationOptions & { readonly platform?: string; readonly auth?: AuthConfig },
    ): Promise<void>;
    /** Throws `invalid-argument`: `invalid reference format`. */
    checkReference(reference: string): string;
  };
  /** From what was solved to images, and to where they were asked for. */
  readonly outputs: {
    finish(solved: SolvedBuild, labels: Readonly<Record<string, string>>, inline: boolean): BuiltImage;
    attest(
      built: Parameters<typeof attest>[1],
      wanted: WantedAttestations,
      options: Parameters<typeof attest>[3],
    ): Promise<BuiltImage>;
    /**
     * Writes the document of an image that `deliver` is going to record: without a row it is nothing to anybody, so the disk
     * may have it before its layers. What goes wrong need not be told: `deliver` writes what is not there.
     */
    writeAhead(image: BuiltImage, lease: Lease): Promise<void>;
    deliver(images: readonly BuiltImage[], options: Omit<DeliverOptions, 'mountView' | 'unmount'>): Promise<Delivered>;
  };
  /** Caches that come from elsewhere, and go there. */
  readonly transfer: {
    open(sources: readonly CacheSource[], options: OpenImportsOptions): Promise<readonly CacheImport[]>;
    /** The cache of an image's own layers, for its document. */
    inline(solved: CacheableSteps): string;
    send(
      solved: readonly CacheableSteps[],
      targets: readonly CacheTarget[],
      options: ExportCachesOptions,
    ): Promise<void>;
  };
  /** Brings an image of an OCI layout that a client has; its layers are on the lease. */
  layout(
    target: Digest,
    read: (path: string) => Promise<Bytes | undefined>,
    options: LayoutOptions,
  ): Promise<{ readonly configText: string; readonly chain: ChainId | undefined }>;
  readonly snapshotter: Snapshotter;
  readonly records: BuildRecords;
  readonly executor: Pick<StepExecutor, 'check' | 'run' | 'enter' | 'speak'>;
  /** Directory that is emptied at the engine's start. */
  readonly temporary: string;
  readonly caches: CacheMounts;
  readonly buildCache: BuildCache;
  /** Called when a build is over: what is old or too much in the cache may go. */
  readonly collectLater: () => void;
  /** Removes the directory of a build that is over: nobody waits for it. */
  readonly discard: (directory: string) => void;
  /** What goes then; nothing where it may not. */
  readonly collectionRules: () => Promise<readonly CollectionRule[]>;
  /** Repositories and files of the web, kept from build to build. */
  readonly remote: RemoteSources;
  /** Directories of clients, kept from build to build. */
  readonly files: ClientFiles;
  /** Files of contexts that came as archives, kept from build to build. */
  readonly uploads: UploadedContexts;
  /** Unpacks an archive of the context or of the web into a directory of a root filesystem, never out of it. */
  unpack(
    archive: string,
    rootfs: string,
    options: {
      readonly destination: string;
      readonly owner: { readonly uid: number; readonly gid: number } | undefined;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<void>;
  /** Unpacks a context: a tar, compressed or not, from a client that is not trusted. */
  extract(archive: Bytes, directory: string, signal: AbortSignal | undefined): Promise<void>;
  /** The active snapshot becomes a layer and is gone; on failure it is the caller's still. */
  commitLayer(
    key: string,
    options: {
      readonly parent: ChainId | undefined;
      readonly lease: Lease;
      /** Of what was written, where that is known. */
      readonly digest?: LayerDigest;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<{ readonly chain: ChainId; readonly diffId: DiffId; readonly size: number }>;
  /** The same layer upon others; made of the one that is there unless it is there already. */
  placeLayer(
    layer: { readonly chain: ChainId; readonly diffId: DiffId; readonly size: number },
    options: {
      readonly parent: ChainId | undefined;
      readonly lease: Lease;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<{ readonly chain: ChainId; readonly diffId: DiffId; readonly size: number }>;
  /** A copy of a layer's changes upon others: without those deletions that there is nothing for. */
  copyLayer(
    chain: ChainId,
    options: {
      readonly parent: ChainId | undefined;
      readonly lease: Lease;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<{ readonly chain: ChainId; readonly diffId: DiffId; readonly size: number }>;
  /** Where devices of the host are described. */
  readonly deviceDirectories: readonly string[];
  /** The ids of the user namespace that a command of a build runs in; undefined is the engine's own. Throws `invalid-argument` for what cannot be in one. */
  idsOfCommand(command: Pick<HostConfig, 'NetworkMode' | 'Privileged'>): ContainerIds | undefined;
  /** Seen with the ids of a user namespace, if given; on the disk they are the snapshot's own. So with `mountView`. */
  mountActive(name: string, target: string, ids?: ContainerIds): Promise<void>;
  mountView(chain: ChainId, target: string, ids?: ContainerIds): Promise<void>;
  unmount(target: string): Promise<void>;
  /** Inside the root, never out of it. */
  makeDirectory(rootfs: string, path: string, owner: { readonly uid: number; readonly gid: number }): Promise<void>;
  /** `user[:group]`, by name or number, from the root's own files. */
  lookUpOwner(rootfs: () => Promise<string>, text: string): Promise<{ readonly uid: number; readonly gid: number }>;
  /** Runs `work` with a lease; afterwards what it kept and nothing refers to is collected. */
  underLease<T>(purpose: string, work: (lease: Lease) => Promise<T>): Promise<T>;
  onBuilt(id: Digest, tags: readonly string[]): void;
  /** The value of a secret of the engine. Throws `invalid-argument`. */
  engineSecret(name: string): Uint8Array;
  /** An image was made with these at hand: they are looked for in it. */
  searchSecrets(image: string, names: readonly string[]): void;
}
