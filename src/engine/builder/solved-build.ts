import type { ChainId, Digest } from '../../oci/digest.ts';
import type { BuildPlan } from '../../build/plan.ts';
import type { BuildRecord } from '../../state/build-records.ts';
import type { Lease } from '../../state/leases.ts';
import type { BuildVertex, StepOrigin } from './build-event.ts';
import type { ProvenanceOption } from './attest/option.ts';
import type { Attestation } from './outputs/built-image.ts';
import type { StageState } from './stages/stage-state.ts';

/** Steps that led to a result, as a cache carries them: those of a Dockerfile, or of a graph. */
export interface CacheableSteps {
  readonly steps: readonly { readonly record: BuildRecord }[];
  /** The last of them, as its key. */
  readonly target: { readonly key: Digest };
  /** Keeps their layers. */
  readonly lease: Lease;
}

/** A build whose steps have all run, before anything is made of it: what outputs and exporters of the cache take. */
export interface SolvedBuild {
  /** The target's configuration and layers. */
  readonly target: StageState;
  /** Every stage that was built, by its index in the Dockerfile. */
  readonly stages: ReadonlyMap<number, StageState>;
  readonly plan: BuildPlan;
  /** Steps with a result, in the order in which they ended; those that only set an ARG have none. */
  readonly steps: readonly SolvedStep[];
  /** What came from elsewhere. */
  readonly sources: readonly ResolvedSource[];
  /** `linux/arm64/v8` */
  readonly platform: string;
  /** The same where the build is for several. */
  readonly platformName: string | undefined;
  /** Keeps all layers of the build until it is over. */
  readonly lease: Lease;
  /** The Dockerfile's text. */
  readonly dockerfile: string;
}

/** One platform of a build that has run, for doors that are told only now what becomes of it. */
export interface SolvedImage {
  /** `linux/amd64` */
  readonly platform: string;
  /** Its configuration, as JSON. */
  readonly configText: string;
  /** The layers of its files; another build may begin with them while this one is held. */
  readonly chain: ChainId | undefined;
  /** The steps that made it; undefined where nothing is known of them. */
  readonly cacheable?: CacheableSteps | undefined;
  /** How it was made; undefined where nothing is known of it. */
  readonly provenance?: ((option: ProvenanceOption) => Attestation) | undefined;
  /** Its files, read-only, on the host: until the outputs are known. */
  root(): Promise<string>;
}

export interface SolvedStep {
  readonly vertex: BuildVertex;
  readonly record: BuildRecord;
  readonly origin: StepOrigin;
}

/** Something that a build took from outside, as it was found: materials of its provenance. */
export interface ResolvedSource {
  readonly kind: 'image' | 'git' | 'http';
  /** As written: `node:22`, an address. */
  readonly name: string;
  /** Manifest or config digest of an image, commit of a repository (`sha1:…`), checksum of a file. */
  readonly digest: Digest | `sha1:${string}`;
  readonly platform?: string | undefined;
}
