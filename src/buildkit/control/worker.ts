import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CollectionRule } from '../../engine/builder/build-cache.ts';
import { VERSION } from '../../base/version.ts';
import type { APICapSchema } from '../protocol/caps_pb.ts';
import type { WorkerRecordSchema } from '../protocol/worker_pb.ts';

/** What clients are told of who builds. */
export interface WorkerFacts {
  readonly id: string;
  readonly hostname: string;
  /** Address that `host-gateway` in --add-host means. */
  readonly hostGateway: string | undefined;
  /** `linux/amd64`; more where foreign programs can be run. */
  readonly platforms: readonly string[];
  /** What of the cache goes by itself, pass by pass. */
  readonly collection: readonly CollectionRule[];
}

const LABEL = 'org.mobyproject.buildkit.worker';

/** The one worker there is: the engine itself. */
export function workerRecord(facts: WorkerFacts): MessageInitShape<typeof WorkerRecordSchema> {
  return {
    ID: facts.id,
    Labels: {
      [`${LABEL}.executor`]: 'oci',
      [`${LABEL}.hostname`]: facts.hostname,
      [`${LABEL}.network`]: 'host',
      [`${LABEL}.oci.process-mode`]: 'sandbox',
      // Clients take this for the ability to make indexes, archives, attestations and caches, and to push by itself.
      [`${LABEL}.snapshotter`]: 'overlayfs',
      ...(facts.hostGateway !== undefined && { [`${LABEL}.moby.host-gateway-ip`]: facts.hostGateway }),
    },
    platforms: facts.platforms.map((platform) => {
      const [OS = '', Architecture = '', Variant = ''] = platform.split('/');
      return { OS, Architecture, Variant };
    }),
    GCPolicy: facts.collection.map(({ all, filters, unusedMs = 0, limits }) => ({
      all,
      filters: [...filters],
      keepDuration: BigInt(unusedMs) * 1_000_000n,
      reservedSpace: BigInt(limits.reserved ?? 0),
      maxUsedSpace: BigInt(limits.maxUsed ?? 0),
      minFreeSpace: BigInt(limits.minFree ?? 0),
    })),
    BuildkitVersion: buildkitVersion(),
  };
}

/** The same for frontends that are programs, as JSON. */
export function workersText(facts: WorkerFacts): string {
  const { ID, Labels, GCPolicy = [], BuildkitVersion } = workerRecord(facts);
  return JSON.stringify([
    {
      id: ID,
      labels: Labels,
      platforms: facts.platforms.map((platform) => {
        const [os = '', architecture = '', variant] = platform.split('/');
        return { architecture, os, ...(variant !== undefined && { variant }) };
      }),
      gcPolicy: GCPolicy.map((rule) => ({
        all: rule.all,
        filter: rule.filters,
        keepDuration: Number(rule.keepDuration),
        reservedSpace: Number(rule.reservedSpace),
        maxUsedSpace: Number(rule.maxUsedSpace),
        minFreeSpace: Number(rule.minFreeSpace),
      })),
      buildkitVersion: BuildkitVersion,
    },
  ]);
}

/** The builder's own version. Clients look at it for features: those of `v0.25` are what this protocol has. */
export function buildkitVersion(): { package: string; version: string; revision: string } {
  return { package: 'gantry', version: `v0.25.0+gantry.${VERSION}`, revision: '' };
}

/** Calls of a frontend that are answered, as its client asks for them. */
const FRONTEND = [
  'solve.base',
  'solve.inlinereturn',
  'resolveimage',
  'resolveimage.resolvemode',
  'readfile',
  'return',
  'returnmap',
  'readdir',
  'statfile',
  'importcaches',
  'proto.refarray',
  'reference.output',
  'frontend.inputs',
  'gateway.solve.metadata',
  'frontend.caps',
  'gateway.solve.evaluate',
  'gateway.evaluate',
  'gateway.warnings',
  'reference.attestations',
  'source.metaresolver',
];

/** Parts of a build that are understood: each is what a definition may claim to need, and nothing else is. */
const BUILD = [
  'source.image',
  'source.image.resolvemode',
  'source.image.layerlimit',
  'source.local',
  'source.local.unique',
  'source.local.sessionid',
  'source.local.includepatterns',
  'source.local.followpaths',
  'source.local.excludepatterns',
  'source.local.sharedkeyhint',
  'source.local.differ',
  'source.git',
  'source.git.keepgitdir',
  'source.git.fullurl',
  'source.git.httpauth',
  'source.git.knownsshhosts',
  'source.git.mountsshsock',
  'source.git.subdir',
  'source.http',
  'source.http.checksum',
  'source.http.perm',
  // Its name is the protocol's.
  'soruce.http.uidgid',
  'source.ocilayout',
  'exec.meta.base',
  'exec.meta.cgroup.parent',
  'exec.meta.network',
  'exec.meta.proxyenv',
  'exec.meta.removemountstubs.recursive',
  'exec.meta.setsdefaultpath',
  'exec.meta.ulimit',
  'exec.mount.bind',
  'exec.mount.bind.readwrite-nooutput',
  'exec.mount.cache',
  'exec.mount.cache.sharing',
  'exec.mount.selector',
  'exec.mount.tmpfs',
  'exec.mount.tmpfs.size',
  'exec.mount.secret',
  'exec.mount.ssh',
  'exec.secretenv',
  'exec.validexitcode',
  'file.base',
  'file.rm.wildcard',
  'file.rm.nofollowsymlink',
  'file.copy.includeexcludepatterns',
  'file.copy.modestring',
  'file.copy.alwaysreplaceexistingdestpaths',
  'file.symlink.create',
  'mergeop',
  'diffop',
  'constraints',
  'platform',
  'meta.ignorecache',
  'meta.description',
  'meta.exportcache',
  'exporter.image.annotations',
  'exporter.image.attestations',
  'exporter.sourcedateepoch',
  'exporter.multiple',
  'source.policy',
  'gc.freespacefilter',
];

export function frontendCapabilities(): MessageInitShape<typeof APICapSchema>[] {
  return FRONTEND.map((ID) => ({ ID, Enabled: true }));
}

export function buildCapabilities(): MessageInitShape<typeof APICapSchema>[] {
  return BUILD.map((ID) => ({ ID, Enabled: true }));
}
